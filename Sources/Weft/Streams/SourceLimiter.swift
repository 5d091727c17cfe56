// SPDX-License-Identifier: Apache-2.0

/// How often each source, and all together, may do something, in windows of a quarter of a second. Half of what all may do is
/// for those who haven't done it in the window, so that nobody who does it often keeps out who does it once.
///
/// Its memory is fixed: each source has a place in each of four tables, which it shares with others, with other ones in each
/// window.
public struct SourceLimiter: ~Copyable, Sendable {
    private static let tables = 4
    private static let places = 8192
    private static let windowsPerSecond = 4

    private var counts: [UInt16]
    private var key: UInt64 = 0
    private let perSource: UInt16
    private let total: Int
    private var admitted = 0
    private var windowEnd = Instant(nanoseconds: 0)

    /// - Parameters:
    ///   - perSource: a second, for one source.
    ///   - total: a second, for all.
    public init(perSource: Int, total: Int) {
        counts = [UInt16](repeating: 0, count: Self.tables * Self.places)
        self.perSource = UInt16(clamping: max(1, (perSource + Self.windowsPerSecond - 1) / Self.windowsPerSecond))
        self.total = max(2, total / Self.windowsPerSecond)
    }

    /// Whether a source may do it once more now.
    public mutating func admits(_ address: IPAddress, at now: Instant) -> Bool {
        if now >= windowEnd { begin(at: now) }
        let place = SourceAddress(address).place(key)
        // Who shares a place with a busy source rarely shares all of them.
        var before = UInt16.max
        for table in 0..<Self.tables { before = min(before, counts[Self.index(place, table)]) }
        guard before < perSource, admitted < (before == 0 ? total : total / 2) else { return false }
        admitted += 1
        for table in 0..<Self.tables {
            let index = Self.index(place, table)
            counts[index] = max(counts[index], before + 1)
        }
        return true
    }

    /// The place in one of the tables: 13 bits of the address' own.
    private static func index(_ place: UInt64, _ table: Int) -> Int {
        table * places + Int(truncatingIfNeeded: place >> UInt64(13 * table)) & (places - 1)
    }

    private mutating func begin(at now: Instant) {
        windowEnd = now.advanced(by: .milliseconds(1000 / Self.windowsPerSecond))
        key = .random(in: 0...UInt64.max)
        guard admitted > 0 else { return }
        admitted = 0
        for index in counts.indices { counts[index] = 0 }
    }
}
