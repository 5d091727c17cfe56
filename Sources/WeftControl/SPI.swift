// SPDX-License-Identifier: Apache-2.0

/// Why a number is no SPI, or why none is left.
public enum SPIError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The low 31 bits of this number are zero.
    case reserved(UInt32)
    /// The counter isn't in ``SPI/counters``.
    case counterOutOfRange(UInt32)
    /// Every counter of this master key was given out.
    case exhausted(MasterKeyIndex)

    public var description: String {
        switch self {
        case .reserved(let number):
            "SPI \(number) is reserved: the low 31 bits must not be zero"
        case .counterOutOfRange(let counter):
            "SPI counter \(counter) is out of range: use \(SPI.counters.lowerBound) to \(SPI.counters.upperBound)"
        case .exhausted(let index):
            "no SPI is left for master key \(index.rawValue): end the session and begin a new one"
        }
    }
}

/// The number of one SA, given out by the end that receives with it.
///
/// Bit 31 is the master key's index, bit 30 the role of the end that gave it out, and the rest a counter. The role's
/// bit is what keeps the two ends from ever deriving the same key for both directions.
public struct SPI: Hashable, Sendable, CustomStringConvertible {
    /// What an ``SPIAllocator`` counts through.
    public static let counters: ClosedRange<UInt32> = 1...(1 << 30) - 1

    /// All 32 bits, as on the wire.
    public let rawValue: UInt32

    /// An SPI as a peer sent it. Throws ``SPIError/reserved(_:)`` if the low 31 bits are zero.
    ///
    /// A zero counter with the responder's bit is let through: the protocol reserves only the low 31 bits.
    public init(rawValue: UInt32) throws(SPIError) {
        guard rawValue << 1 != 0 else { throw .reserved(rawValue) }
        self.rawValue = rawValue
    }

    /// An SPI from its parts. Throws ``SPIError/counterOutOfRange(_:)`` unless the counter is in ``counters``.
    public init(masterKeyIndex: MasterKeyIndex, role: Role, counter: UInt32) throws(SPIError) {
        guard Self.counters.contains(counter) else { throw .counterOutOfRange(counter) }
        rawValue = UInt32(masterKeyIndex.rawValue) << 31 | UInt32(role.rawValue) << 30 | counter
    }

    public var masterKeyIndex: MasterKeyIndex { rawValue >> 31 == 0 ? .first : .second }

    /// The role of the end that gave this SPI out, which is the end that receives with it.
    public var role: Role { rawValue >> 30 & 1 == 0 ? .initiator : .responder }

    /// 0 to 2^30 - 1.
    public var counter: UInt32 { rawValue & Self.counters.upperBound }

    /// Eight hexadecimal digits after `0x`.
    public var description: String {
        let digits = String(rawValue, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}

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
