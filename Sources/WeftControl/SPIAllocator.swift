// SPDX-License-Identifier: Apache-2.0

/// Gives out a session's SPIs for one end, none of them twice.
public struct SPIAllocator: Sendable {
    public let role: Role
    private var nextCounters: [MasterKeyIndex: UInt32]

    public init(role: Role) {
        self.init(role: role, firstCounter: SPI.counters.lowerBound)
    }

    /// Gives out none of the SPIs that an earlier allocator of the same role gave out last.
    init(role: Role, above used: [UInt32]) {
        let last = used.filter { UInt8($0 >> 30 & 1) == role.rawValue }.map { $0 & SPI.counters.upperBound }.max() ?? 0
        // What lives lies close together: beyond half the way the beginning is free again.
        self.init(role: role, firstCounter: last > SPI.counters.upperBound / 2 ? 1 : last + 1)
    }

    /// Begins at random, as between Weft's ends, so that a number tells nobody how old a session is, or that two are the same
    /// pair's; far from numbers that an earlier session gave out and that may still be in use.
    ///
    /// In the first half, so that as many are left as nobody uses up.
    init(
        role: Role, apartFrom used: [UInt32],
        draw: () -> UInt32 = { .random(in: 1...SPI.counters.upperBound / 2) }
    ) {
        let counters = used.filter { UInt8($0 >> 30 & 1) == role.rawValue }.map { $0 & SPI.counters.upperBound }
        func isNear(_ first: UInt32) -> Bool {
            counters.contains { max($0, first) - min($0, first) < Self.distance }
        }
        var first = draw()
        // What is used takes a tiny part of all numbers.
        for _ in 0..<8 where isNear(first) { first = draw() }
        self.init(role: role, firstCounter: first)
    }

    /// More than a session gives out while an SA of the one before lives.
    private static let distance: UInt32 = 1 << 20

    /// Begins elsewhere than at 1, so that a test can reach the end.
    init(role: Role, firstCounter: UInt32) {
        self.role = role
        nextCounters = Dictionary(uniqueKeysWithValues: MasterKeyIndex.allCases.map { ($0, firstCounter) })
    }

    /// Whether the first master key's counter has come half its way.
    var isHalfUsed: Bool { (nextCounters[.first] ?? .max) > SPI.counters.upperBound / 2 }

    /// The next SPI of a master key; each key has its own counter.
    ///
    /// Throws ``SPIError/exhausted(_:)`` after 2^30 - 1 of them, from then on always: the session must end.
    public mutating func next(_ index: MasterKeyIndex = .first) throws(SPIError) -> SPI {
        guard let counter = nextCounters[index], SPI.counters.contains(counter) else { throw .exhausted(index) }
        let spi = try SPI(masterKeyIndex: index, role: role, counter: counter)
        nextCounters[index] = counter + 1
        return spi
    }
}
