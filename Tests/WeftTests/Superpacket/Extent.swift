// SPDX-License-Identifier: Apache-2.0
import Foundation

/// How many random cases a test tries: enough for every run, or with WEFT_EXHAUSTIVE=1 a million (make test-exhaustive).
enum Extent {
    static let isExhaustive = ProcessInfo.processInfo.environment["WEFT_EXHAUSTIVE"] == "1"
    static let superpackets = isExhaustive ? 1_000_000 : 20_000
    /// Runs of many packets.
    static let packetRuns = isExhaustive ? 1_000_000 : 20_000
}
