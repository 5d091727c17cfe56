// SPDX-License-Identifier: Apache-2.0
import Weft

/// Names a stream within its session.
public struct StreamID: Hashable, Sendable {
    public let rawValue: Int64

    public init(rawValue: Int64) { self.rawValue = rawValue }
}
