// SPDX-License-Identifier: Apache-2.0
import Weft

/// Names a session within its transport; never used twice.
public struct SessionID: Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }
}
