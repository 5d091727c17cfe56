// SPDX-License-Identifier: Apache-2.0

/// A key for tags of 64 bits: SipHash-2-4 (Aumasson and Bernstein, 2012), which costs some tens of nanoseconds for a
/// connection id, allocates nothing, and needs no context that threads would have to share. It lies in memory for keys, and
/// is wiped with its last copy.
public struct TagKey: Hashable, Sendable {
    /// Bytes of a key.
    public static let byteCount = 16
    /// Bytes of a tag.
    public static let tagByteCount = 8

    private let words: Words

    private var low: UInt64 { words.low }
    private var high: UInt64 { words.high }

    /// The key's two words, written once.
    @safe
    private final class Words: @unchecked Sendable {
        // Sendable, since the words never change after initialisation.
        private let cell: UnsafeMutableRawPointer
        private let isPooled: Bool

        init(_ low: UInt64, _ high: UInt64) {
            // Safe: a cell has room for two words and is ours alone, as is what is allocated where the pool has no memory.
            let pooled = unsafe KeyPool.shared.allocate()?.cell
            isPooled = unsafe pooled != nil
            unsafe cell = pooled ?? .allocate(byteCount: TagKey.byteCount, alignment: 8)
            unsafe cell.storeBytes(of: low, as: UInt64.self)
            unsafe cell.storeBytes(of: high, toByteOffset: 8, as: UInt64.self)
        }

        deinit {
            guard isPooled else {
                unsafe cell.deallocate()
                return
            }
            unsafe KeyPool.shared.release(cell)
        }

        var low: UInt64 { unsafe cell.load(as: UInt64.self) }
        var high: UInt64 { unsafe cell.load(fromByteOffset: 8, as: UInt64.self) }
    }

    /// Nil unless there are ``byteCount`` bytes.
    public init?(_ bytes: Span<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        func word(_ start: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << (8 * UInt64($1)) }
        }
        words = Words(word(0), word(8))
    }

    /// One that nobody else knows.
    public static func random() -> TagKey {
        TagKey(low: .random(in: 0...UInt64.max), high: .random(in: 0...UInt64.max))
    }

    private init(low: UInt64, high: UInt64) {
        words = Words(low, high)
    }

    public static func == (one: TagKey, other: TagKey) -> Bool {
        // One comparison of both words: its time tells nothing.
        (one.low ^ other.low) | (one.high ^ other.high) == 0
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(low)
        hasher.combine(high)
    }

    /// The tag of `bytes`; its own bytes follow in the order of the machine's least significant one first.
    public func tag(of bytes: RawSpan) -> UInt64 {
        var state = State(low, high)
        var offset = 0
        while offset &+ 8 <= bytes.byteCount {
            state.take(bytes.load(at: offset, as: UInt64.self).byteSwapped)
            offset &+= 8
        }
        var last = UInt64(truncatingIfNeeded: bytes.byteCount) << 56
        for index in offset..<bytes.byteCount {
            last |= UInt64(bytes.load(at: index, as: UInt8.self)) << UInt64(8 &* (index &- offset))
        }
        state.take(last)
        return state.finish()
    }

    private struct State {
        private var v0, v1, v2, v3: UInt64

        init(_ low: UInt64, _ high: UInt64) {
            v0 = low ^ 0x736F_6D65_7073_6575
            v1 = high ^ 0x646F_7261_6E64_6F6D
            v2 = low ^ 0x6C79_6765_6E65_7261
            v3 = high ^ 0x7465_6462_7974_6573
        }

        @inline(__always)
        private mutating func round() {
            func rotated(_ value: UInt64, _ by: UInt64) -> UInt64 { value << by | value >> (64 &- by) }
            v0 = v0 &+ v1
            v2 = v2 &+ v3
            v1 = rotated(v1, 13) ^ v0
            v3 = rotated(v3, 16) ^ v2
            v0 = rotated(v0, 32)
            v2 = v2 &+ v1
            v0 = v0 &+ v3
            v1 = rotated(v1, 17) ^ v2
            v3 = rotated(v3, 21) ^ v0
            v2 = rotated(v2, 32)
        }

        mutating func take(_ word: UInt64) {
            v3 ^= word
            round()
            round()
            v0 ^= word
        }

        mutating func finish() -> UInt64 {
            v2 ^= 0xFF
            for _ in 0..<4 { round() }
            return v0 ^ v1 ^ v2 ^ v3
        }
    }
}
