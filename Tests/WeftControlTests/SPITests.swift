// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import WeftControl

struct SPIVector: NamedVector {
    let name: String
    let role: UInt8
    // make_*
    let masterKeyIndex: Int?
    let counter: UInt32?
    let spi: UInt32?
    let spiHex: String?
    let indexOf: Int?
    let roleOf: UInt8?
    let error: String?
    // allocator_*
    let firstFiveIndex0: [String]?
    let firstIndex1: String?
    let index2Error: String?
    let lastUsableIndex0: String?
    let lastError: String?
    let afterLastError: String?

    enum Kind { case make, allocator }

    var kind: Kind? { counter != nil ? .make : firstFiveIndex0 != nil ? .allocator : nil }
}

struct SPITests {
    @Test(arguments: try Vectors.load("psp_spi", as: SPIVector.self).filter { $0.kind == .make })
    func makeVector(_ vector: SPIVector) throws {
        let role = try #require(Role(rawValue: vector.role))
        let counter = try #require(vector.counter)
        let index = MasterKeyIndex(rawValue: try #require(vector.masterKeyIndex))
        guard let expected = vector.spi else {
            // Two kinds of error: an index that doesn't exist can't be named, a bad counter is refused.
            let error = try #require(vector.error)
            #expect((index == nil) == error.contains("master key index"))
            guard let index else { return }
            #expect(throws: SPIError.counterOutOfRange(counter)) {
                try SPI(masterKeyIndex: index, role: role, counter: counter)
            }
            return
        }
        let spi = try SPI(masterKeyIndex: #require(index), role: role, counter: counter)
        #expect(spi.rawValue == expected)
        #expect(spi.description == "0x" + (vector.spiHex ?? ""))
        #expect(spi.masterKeyIndex.rawValue == vector.indexOf)
        #expect(spi.role.rawValue == vector.roleOf)
        #expect(spi.counter == counter)
        #expect(try SPI(rawValue: expected) == spi)
    }

    @Test(arguments: try Vectors.load("psp_spi", as: SPIVector.self).filter { $0.kind == .allocator })
    func allocatorVector(_ vector: SPIVector) throws {
        let role = try #require(Role(rawValue: vector.role))
        var allocator = SPIAllocator(role: role)
        for expected in try #require(vector.firstFiveIndex0) {
            #expect(try allocator.next().description == "0x" + expected)
        }
        #expect(try allocator.next(.second).description == "0x" + (vector.firstIndex1 ?? ""))
        #expect(vector.index2Error != nil && MasterKeyIndex(rawValue: 2) == nil)

        var last = SPIAllocator(role: role, firstCounter: SPI.counters.upperBound)
        #expect(vector.lastError == nil)
        #expect(try last.next().description == "0x" + (vector.lastUsableIndex0 ?? ""))
        #expect(vector.afterLastError != nil)
        for _ in 0..<3 {
            #expect(throws: SPIError.exhausted(.first)) { try last.next() }
        }
        #expect(try last.next(.second).counter == SPI.counters.upperBound)
    }

    /// Between Weft's ends: neither small nor one behind the other from session to session, and never one that lives.
    @Test(arguments: [Role.initiator, .responder])
    func beginsAtRandom(_ role: Role) throws {
        var spis = ReceiveSPIs(role: role, isICX: false)
        var before: [UInt32] = []
        for _ in 0..<64 {
            spis.begin()
            let first = try spis.next()
            let second = try spis.next()
            #expect(first.role == role && second.rawValue == first.rawValue + 1)
            #expect(before.allSatisfy { max($0, first.rawValue) - min($0, first.rawValue) >= 1 << 20 })
            before.append(second.rawValue)
        }
        #expect(before.contains { $0 & SPI.counters.upperBound > 1 << 28 })
    }

    /// What is drawn too near to an SPI that may still be in use is drawn again.
    @Test func drawsAgainWhereSomethingLives() throws {
        var draws: [UInt32] = [5_000_010, 5_000_000 + (1 << 20), 9]
        var allocator = SPIAllocator(role: .responder, apartFrom: [0x4000_0000 | 5_000_000, 9]) { draws.removeFirst() }
        #expect(try allocator.next().counter == 5_000_000 + (1 << 20))
    }

    @Test func goesOnTowardsICX() throws {
        var spis = ReceiveSPIs(role: .responder, isICX: true)
        for number in 1...8 as ClosedRange<UInt32> {
            spis.begin()
            #expect(try spis.next().rawValue == 0x4000_0000 | number)
        }
        spis.resume([0x4000_0100, 0x0000_0200])
        spis.begin()
        #expect(try spis.next().rawValue == 0x4000_0101)
    }

    @Test(arguments: [0, 0x8000_0000] as [UInt32])
    func reservedNumbers(_ number: UInt32) {
        #expect(throws: SPIError.reserved(number)) { try SPI(rawValue: number) }
    }

    /// Only the low 31 bits are reserved, as the original has it.
    @Test(arguments: [0x4000_0000, 0xC000_0000, 1, .max] as [UInt32])
    func allowedNumbers(_ number: UInt32) throws {
        #expect(try SPI(rawValue: number).rawValue == number)
    }
}
