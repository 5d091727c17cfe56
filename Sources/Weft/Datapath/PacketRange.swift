// SPDX-License-Identifier: Apache-2.0

/// Where a packet stands in an arena.
public struct PacketRange: BitwiseCopyable, Sendable {
    public var offset: Int
    public var count: Int

    @inlinable
    public init(offset: Int, count: Int) {
        self.offset = offset
        self.count = count
    }

    @inlinable
    public var range: Range<Int> { offset..<offset + count }
}
