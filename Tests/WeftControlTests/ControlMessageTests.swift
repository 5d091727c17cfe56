// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

struct ControlVector: NamedVector {
    let name: String
    let message: String
    let parse: Bool?
    let payload: Hex?
    let frame: Hex?
    let stream: Hex?
    let version: UInt8?
    let rxSpi: UInt32?
    let addr: String?
    let parsedAddr: String?
    let status: UInt8?
    let vni: UInt32?
    let error: String?

    enum Kind { case message, parse, stream }

    var kind: Kind? { stream != nil ? .stream : frame != nil ? .message : parse == true ? .parse : nil }

    /// The message with the vector's fields.
    func expected(addressText: String?) throws -> ControlMessage {
        let offer = try version.map { SAOffer(suite: $0, receiveSPI: try #require(rxSpi)) }
        let status = status.flatMap { ExchangeStatus(rawValue: $0) }
        switch message {
        case "saOffer": return .saOffer(try #require(offer))
        case "keyRequest":
            let address = try #require(addressText.flatMap { IPAddress($0) })
            return .keyRequest(try #require(offer), overlayAddress: address)
        case "keyGrant": return .keyGrant(try #require(status), try #require(offer), vni: try #require(vni))
        case "vniRelease": return .vniRelease(vni: try #require(vni))
        case "releaseAck": return .releaseAnswer(try #require(status))
        default: throw VectorsError.badHex(message)
        }
    }
}

struct ControlMessageTests {
    private func decode(_ payload: [UInt8]) throws(ControlMessageError) -> ControlMessage {
        try ControlMessage(payload: payload.span)
    }

    @Test(arguments: try Vectors.load("control_framing", as: ControlVector.self).filter { $0.kind == .message })
    func messageVector(_ vector: ControlVector) throws {
        let message = try vector.expected(addressText: vector.addr)
        #expect(message.payload == vector.payload?.bytes)
        #expect(message.frame == vector.frame?.bytes)
        #expect(try ControlFrame.encode(message.payload) == vector.frame?.bytes)
        let decoded = try decode(try #require(vector.payload).bytes)
        #expect(try decoded == vector.expected(addressText: vector.parsedAddr))
    }

    @Test(
        arguments: try Vectors.load("control_framing", as: ControlVector.self)
            .filter { $0.kind == .parse })
    func parseVector(_ vector: ControlVector) throws {
        let payload = try #require(vector.payload).bytes
        let expectation: ControlMessageError
        switch vector.error {
        case nil:
            #expect(try decode(payload) == vector.expected(addressText: nil))
            return
        case let error? where error.contains("wrong size"):
            expectation = .wrongLength(type: 1, got: payload.count, expected: 7)
        case let error? where error.contains("unsupported protocol version"):
            expectation = .unsupportedVersion(payload[0])
        default:
            expectation = .unknownType(payload[1])
        }
        #expect(throws: expectation) { try decode(payload) }
    }

    private static let samples: [ControlMessage] = [
        .saOffer(SAOffer(suite: 0xFF, receiveSPI: .max)),
        .keyRequest(SAOffer(suite: 0, receiveSPI: 5), overlayAddress: IPAddress(v4: 0xC000_0201)),
        .keyRequest(SAOffer(suite: 1, receiveSPI: 5), overlayAddress: IPAddress(v6: 0xFD00_0000_0000_0000, 1)),
        .keyGrant(.granted, SAOffer(suite: 0, receiveSPI: 0x4000_0003), vni: 0xFF_FFFF),
        .keyGrant(.spisExhausted, SAOffer(suite: 0, receiveSPI: 0), vni: 0),
        .vniRelease(vni: 0x12_3456),
        .releaseAnswer(.granted),
        .releaseAnswer(.rejected),
    ]

    @Test(arguments: samples)
    func roundTrip(_ message: ControlMessage) throws {
        #expect(try decode(message.payload) == message)
    }

    @Test func ipv4AddressIsMapped() throws {
        let message = ControlMessage.keyRequest(
            SAOffer(suite: 0, receiveSPI: 5), overlayAddress: IPAddress(v4: 0xC000_0201))
        #expect(message.payload == (try Hex("0102000000000500000000000000000000ffffc0000201")).bytes)
    }

    /// ::192.0.2.1 and ::fffe:192.0.2.1 aren't mapped addresses.
    @Test(arguments: [0xC000_0201, 0xFFFE_C000_0201, 0x1_FFFF_C000_0201] as [UInt64])
    func otherLowAddressesStayIPv6(_ low: UInt64) throws {
        let message = ControlMessage.keyRequest(
            SAOffer(suite: 0, receiveSPI: 5), overlayAddress: IPAddress(v6: 0, low))
        #expect(try decode(message.payload) == message)
    }

    /// Each length but the right one fails, whatever the type.
    @Test(arguments: samples)
    func truncatedAndExtendedEverywhere(_ message: ControlMessage) {
        let payload = message.payload
        for count in 0..<payload.count {
            let expectation: ControlMessageError =
                count < 2
                ? .tooShort(count) : .wrongLength(type: payload[1], got: count, expected: payload.count)
            #expect(throws: expectation) { try decode(Array(payload.prefix(count))) }
        }
        for extra in 1...40 {
            #expect(throws: ControlMessageError.self) { try decode(payload + Array(repeating: 0, count: extra)) }
        }
    }

    @Test func statusesBeyondTheKnownAreErrors() {
        for status in UInt8(4)...255 {
            #expect(throws: ControlMessageError.unknownStatus(status)) { try decode([1, 5, status]) }
            #expect(throws: ControlMessageError.unknownStatus(status)) {
                try decode([1, 3, status] + Array(repeating: 0, count: 9))
            }
        }
    }

    @Test func versionsAndTypesBeyondTheKnownAreErrors() {
        for byte in UInt8.min ... .max {
            if byte != 1 { #expect(throws: ControlMessageError.unsupportedVersion(byte)) { try decode([byte, 5, 0]) } }
            guard !(1...5).contains(byte) else { continue }
            #expect(throws: ControlMessageError.unknownType(byte)) { try decode([1, byte, 0]) }
        }
    }

    /// Garbage either fails or decodes to a message that encodes to the same bytes again.
    @Test func randomPayloadsNeverTrap() {
        var generator = SeededGenerator.fresh()
        var decodedCount = 0
        for _ in 0..<20_000 {
            var payload = [UInt8](count: .random(in: 0...32, using: &generator), using: &generator)
            // Mostly get past the first checks: a good version, a good type, the type's length, a good status.
            if payload.count >= 3, Int.random(in: 0..<8, using: &generator) > 0 {
                let kind = ControlMessage.Kind.allCases.randomElement(using: &generator) ?? .saOffer
                payload.replaceSubrange(0..<3, with: [1, kind.rawValue, payload[2] & 7])
                if Bool.random(using: &generator) {
                    payload += [UInt8](count: 32, using: &generator)
                    payload = Array(payload.prefix(kind.payloadByteCount))
                }
            }
            guard let message = try? decode(payload) else { continue }
            decodedCount += 1
            #expect(message.payload == payload, "seed \(generator.seed)")
        }
        #expect(decodedCount > 1000, "seed \(generator.seed)")
    }
}
