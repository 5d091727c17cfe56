// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

@Suite("Capabilities")
struct CapabilitiesTests {
    private func read(_ bytes: [UInt8]) throws(Capabilities.Fault) -> Capabilities {
        try Capabilities(payload: bytes.span)
    }

    @Test("they come back as they went, and unknown ones with them")
    func roundTrip() throws {
        var capabilities = Capabilities()
        #expect(capabilities.frame == [0, 2, 1, 16])
        capabilities[0x1234] = .init(version: 3, value: [9, 8])
        capabilities[1] = .init(version: 1)
        let frame = try #require(capabilities.frame)
        #expect(frame == [0, 12, 1, 16, 0, 1, 1, 0, 0x12, 0x34, 3, 2, 9, 8])
        #expect(try read(Array(frame.dropFirst(2))) == capabilities)
        capabilities[2] = .init(version: 1, value: [UInt8](repeating: 0, count: 256))
        #expect(capabilities.frame == nil)
    }

    /// docs/weft-1.md has it.
    @Test("the VNI that an end receives with, as the document says it")
    func vni() throws {
        var capabilities = Capabilities()
        #expect(try capabilities.receiveVNI() == nil)
        capabilities.name(receiveVNI: 0x12_3456)
        #expect(capabilities.frame == [0, 10, 1, 16, 0, 1, 1, 4, 0, 0x12, 0x34, 0x56])
        #expect(try capabilities.receiveVNI() == 0x12_3456)
        for wrong: [UInt8] in [[], [1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1, 0]] {
            capabilities[1] = .init(version: 1, value: wrong)
            #expect(throws: Capabilities.Fault.malformed(1)) { try capabilities.receiveVNI() }
            capabilities[1] = .init(version: 2, value: wrong)
            #expect(try capabilities.receiveVNI() == nil)
        }
    }

    @Test("whether an end could call is said in one byte")
    func calls() throws {
        var capabilities = Capabilities.own
        #expect(try capabilities.canCall() == nil)
        for canCall in [true, false] {
            capabilities.say(canCall: canCall)
            #expect(try capabilities.canCall() == canCall)
        }
        for value: [UInt8] in [[], [2], [1, 1]] {
            capabilities[4] = .init(version: 1, value: value)
            #expect(throws: Capabilities.Fault.malformed(4)) { try capabilities.canCall() }
            capabilities[4] = .init(version: 2, value: value)
            #expect(try capabilities.canCall() == nil)
        }
    }

    /// docs/weft-1.md has it.
    @Test("all that an end says, as the document says it")
    func wholeExample() {
        var capabilities = Capabilities.own
        capabilities.name(receiveVNI: 0x12_3456)
        capabilities.say(canCall: true)
        let head: [UInt8] = [0, 0x17, 1, 16, 0, 1, 1, 4, 0, 0x12, 0x34, 0x56]
        #expect(capabilities.frame == head + [0, 3, 1, 0, 0, 4, 1, 1, 1, 0, 5, 1, 0])
    }

    @Test("what is none isn't taken for any")
    func faults() {
        for bytes: [UInt8] in [[], [1], [2, 16], [1, 1]] {
            #expect(throws: Capabilities.Fault.notCapabilities) { try read(bytes) }
        }
        for bytes: [UInt8] in [[1, 16, 0], [1, 16, 0, 1, 1], [1, 16, 0, 1, 1, 1], [1, 16, 0, 1, 1, 0, 7]] {
            #expect(throws: Capabilities.Fault.truncated) { try read(bytes) }
        }
        #expect(throws: Capabilities.Fault.repeated(7)) { try read([1, 16, 0, 7, 1, 0, 0, 7, 2, 0]) }
    }

    @Test("a million random payloads are read or refused")
    func random() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<1_000_000 {
            let count = Int.random(in: 0...24, using: &generator)
            let bytes = [1, 16] + (0..<count).map { _ in UInt8.random(in: 0...7, using: &generator) }
            guard let read = try? read(bytes) else { continue }
            let again = read.frame.flatMap { try? self.read(Array($0.dropFirst(2))) }
            #expect(again == read, "seed \(generator.seed)")
        }
    }
}

@Suite("Tags of calls")
struct CallTagTests {
    /// docs/weft-1.md has it; Python's cryptography made it.
    @Test("the example of the document")
    func example() throws {
        let key = try PublicKey(
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q=="
        )
        let bytes = [UInt8](0..<8)
        #expect(try unsafe TagKey(callsTo: key).tag(of: bytes.span.bytes) == 0x3270_268C_B08E_B01F)
    }

    @Test("ids are one endpoint's: neither another port's, nor another tunnel's, nor another identity's")
    func places() throws {
        let identity = try Identity.generate()
        let pem = identity.pem()
        let again = try Identity(pem: pem.span)
        let place = EndpointPlace(port: 6081, name: "weft0")
        let tags = try TagSeed(identity).tags(at: place)
        #expect(try TagSeed(again).tags(at: place) == tags, "a restart")
        let id = tags.makeID()
        #expect(unsafe tags.isOwn(id.span.bytes))
        let others = [
            try TagSeed(identity).tags(at: EndpointPlace(port: 6082, name: "weft0")),
            try TagSeed(identity).tags(at: EndpointPlace(port: 6081, name: "weft1")),
            try TagSeed(Identity.generate()).tags(at: place),
        ]
        for other in others { #expect(unsafe !other.isOwn(id.span.bytes)) }
    }
}
