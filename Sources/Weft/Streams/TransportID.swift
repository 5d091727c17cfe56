// SPDX-License-Identifier: Apache-2.0

/// A transport's number in a ``DataPlane``, never given twice.
public struct TransportID: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    let number: UInt64

    public var description: String { "\(number)" }
}
