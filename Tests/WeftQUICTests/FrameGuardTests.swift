// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import WeftQUIC

struct FrameGuardTests {
    private static let dialed: FrameGuard = {
        var one = FrameGuard()
        one.mayConfirmHandshake = true
        return one
    }()

    private func fault(
        _ bytes: [UInt8], _ protection: FrameGuard.Protection = .oneRTT, by frameGuard: FrameGuard = dialed
    ) -> FrameGuard.Fault? {
        do throws(FrameGuard.Fault) {
            try frameGuard.check(bytes.span, protection)
            return nil
        } catch { return error }
    }

    private func types(_ bytes: [UInt8]) throws -> [UInt8] {
        var reader = QUICFrameReader()
        var types: [UInt8] = []
        while let frame = try reader.next(in: bytes.span) { types.append(frame.type.rawValue) }
        #expect(reader.offset == bytes.count)
        return types
    }

    @Test(arguments: QUICFrames.all.map(\.name))
    func everyFrameIsReadWhole(name: String) throws {
        let bytes = try #require(QUICFrames.all.first { $0.name == name }).bytes
        #expect(try types(bytes + [1] + bytes) == [bytes[0], 1, bytes[0]])
        #expect(fault(bytes) == nil)
        for count in 1..<bytes.count {
            #expect(
                fault(Array(bytes.prefix(count))) == .malformed(QUICFrameType(rawValue: bytes[0])), "\(count) bytes")
        }
    }

    /// What stands in it looks like frames that are refused.
    @Test func aStreamWithoutLengthTakesTheRest() throws {
        let bytes = [0x0C] + QUICFrames.number(4) + QUICFrames.number(9) + QUICFrames.newConnectionID(40, retiring: 40)
        #expect(try types(bytes) == [0x0C])
        #expect(fault(bytes) == nil)
        #expect(fault([0x1A] + QUICFrames.newConnectionID(8, retiring: 8).prefix(8)) == nil)
    }

    @Test(arguments: Array(UInt8(0x1F)...255))
    func unknownTypesAreMalformed(type: UInt8) {
        #expect(fault([1, type] + [UInt8](repeating: 0, count: 40)) == .malformed(QUICFrameType(rawValue: type)))
    }

    /// Lengths and counts that no packet can hold.
    @Test(arguments: [
        [6, 0] + QUICFrames.number(1 << 62 - 1), [7] + QUICFrames.number(1 << 61), [0x0A, 0] + QUICFrames.number(99),
        [2, 5, 0] + QUICFrames.number(1 << 62 - 1) + [0, 0, 0], [0x1D, 0] + QUICFrames.number(1 << 32),
    ])
    func nothingReachesBeyondThePacket(bytes: [UInt8]) {
        #expect(fault(bytes + [1, 2, 3]) == .malformed(QUICFrameType(rawValue: bytes[0])))
    }

    @Test(
        arguments: [
            (QUICFrames.newConnectionID(1), nil), (QUICFrames.newConnectionID(15, byteCount: 20), nil),
            (QUICFrames.newConnectionID(16), .tooManyConnectionIDs),
            (QUICFrames.newConnectionID(1 << 62 - 1), .tooManyConnectionIDs),
            (QUICFrames.newConnectionID(1, retiring: 1), .retiresConnectionIDs),
            (QUICFrames.newConnectionID(8, retiring: 3), .retiresConnectionIDs),
            (QUICFrames.newConnectionID(1 << 40, retiring: 1 << 40), .retiresConnectionIDs),
            (QUICFrames.newConnectionID(3, retiring: 4), .malformed(.newConnectionID)),
            (QUICFrames.newConnectionID(3, byteCount: 0), .malformed(.newConnectionID)),
            (QUICFrames.newConnectionID(3, byteCount: 21), .malformed(.newConnectionID)),
        ] as [([UInt8], FrameGuard.Fault?)])
    func connectionIDsComeByTheRules(frame: [UInt8], expected: FrameGuard.Fault?) {
        #expect(fault(frame) == expected)
        // Wherever it stands, and in whatever length its numbers are written.
        #expect(fault(QUICFrames.all[2].bytes + frame + [0, 0]) == expected)
    }

    @Test func longNumbersAreNumbers() {
        let padded = [0x18] + QUICFrames.number(2, bytes: 8) + QUICFrames.number(1, bytes: 4) + [4]
        #expect(fault(padded + [UInt8](repeating: 0, count: 20)) == .retiresConnectionIDs)
    }

    @Test func onlyWhoWasDialedConfirmsTheHandshake() {
        let fresh = FrameGuard()
        #expect(fault(QUICFrames.handshakeDone, by: fresh) == .earlyHandshakeDone)
        #expect(fault(QUICFrames.handshakeDone, by: Self.dialed) == nil)
        #expect(fault([1] + QUICFrames.newConnectionID(1), by: fresh) == nil)
    }

    @Test(arguments: QUICFrames.all.map(\.name))
    func theHandshakeTakesItsOwnFrames(name: String) throws {
        let bytes = try #require(QUICFrames.all.first { $0.name == name }).bytes
        let belongs = ["PADDING", "PING", "ACK", "ACK with ECN", "CRYPTO", "CONNECTION_CLOSE"].contains(name)
        #expect(fault(bytes, .handshake) == (belongs ? nil : .misplaced(QUICFrameType(rawValue: bytes[0]))))
    }

    @Test(
        arguments: [
            (0x40, .oneRTT), (0x00, .oneRTT), (0x7F, .oneRTT), (0xE0, .handshake), (0xA3, .handshake), (0xC0, nil),
            (0xD0, nil), (0xF0, nil),
        ] as [(UInt8, FrameGuard.Protection?)])
    func protectionIsInTheFirstByte(byte: UInt8, expected: FrameGuard.Protection?) {
        #expect(FrameGuard.Protection(firstByte: byte) == expected)
    }

    /// Random frames are found as they were written; random bytes harm nobody.
    @Test func randomPackets() throws {
        var random = SeededGenerator.fresh()
        for _ in 0..<2_000 {
            let frames = (0..<Int.random(in: 0...12, using: &random)).compactMap { _ in
                QUICFrames.all.randomElement(using: &random)?.bytes
            }
            #expect(try types(frames.flatMap { $0 }) == frames.map { $0[0] }, "seed \(random.seed)")
            var noise = (0..<Int.random(in: 0...64, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if !noise.isEmpty { noise[0] &= 0x1F }
            _ = fault(noise)
            _ = fault(noise, .handshake)
        }
    }
}
