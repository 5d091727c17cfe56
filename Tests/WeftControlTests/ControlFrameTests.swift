// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftControl
import WeftTestSupport

struct ControlFrameTests {
    /// What a reader makes of a whole stream in pieces of `size` bytes.
    private func read(_ stream: [UInt8], inPiecesOf size: Int) throws(ControlFrameError) -> [[UInt8]] {
        var reader = ControlFrameReader()
        var payloads: [[UInt8]] = []
        for start in stride(from: 0, to: stream.count, by: size) {
            let piece = Array(stream[start..<min(start + size, stream.count)])
            if let payload = try reader.receive(piece.span) { payloads.append(payload) }
        }
        try reader.end()
        return payloads
    }

    @Test(arguments: try Vectors.load("control_framing", as: ControlVector.self).filter { $0.kind == .stream })
    func streamVector(_ vector: ControlVector) throws {
        let stream = try #require(vector.stream).bytes
        let payload = vector.payload.map { [$0.bytes] }
        for size in 1...3 {
            switch vector.error {
            case nil:
                #expect(try read(stream, inPiecesOf: size) == payload)
            case "control: frame too large (4097)":
                #expect(throws: ControlFrameError.tooLarge(4097)) { try read(stream, inPiecesOf: size) }
            default:
                #expect(throws: ControlFrameError.truncated(stream.count)) { try read(stream, inPiecesOf: size) }
            }
        }
    }

    @Test(arguments: [0, 1, 7, 255, 256, 4095, 4096], [1, 2, 3, 1000, 10000])
    func roundTrip(_ count: Int, inPiecesOf size: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 3) }
        #expect(try read(ControlFrame.encode(payload), inPiecesOf: size) == [payload])
    }

    @Test func refusesToEncodeTooMuch() {
        #expect(throws: ControlFrameError.tooLarge(4097)) { try ControlFrame.encode(Array(repeating: 0, count: 4097)) }
    }

    @Test(arguments: 0..<9)
    func truncatedEverywhere(_ count: Int) throws {
        let frame = try ControlFrame.encode([1, 1, 0, 0, 0, 0, 1])
        #expect(throws: ControlFrameError.truncated(count)) {
            try read(Array(frame.prefix(count)), inPiecesOf: 4)
        }
    }

    /// One exchange per stream: what follows the frame is drained, even if it looks like another.
    @Test(arguments: [1, 2, 5, 100])
    func forgetsWhatFollows(inPiecesOf size: Int) throws {
        let stream = try ControlFrame.encode([1, 2, 3]) + [0xFF, 0xFF] + ControlFrame.encode([4])
        #expect(try read(stream, inPiecesOf: size) == [[1, 2, 3]])
    }

    @Test func staysFailedOnceItFailed() {
        var reader = ControlFrameReader()
        for bytes in [[0xFF, 0xFF], [0], [], [1, 2, 3]] as [[UInt8]] {
            #expect(throws: ControlFrameError.tooLarge(0xFFFF)) { try reader.receive(bytes.span) }
        }
        #expect(throws: ControlFrameError.tooLarge(0xFFFF)) { try reader.end() }
    }

    @Test func randomStreamsNeverTrap() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<2000 {
            var stream = [UInt8](count: .random(in: 0...64, using: &generator), using: &generator)
            // A length that can be reached, half of the time.
            if Bool.random(using: &generator), !stream.isEmpty { stream[0] = 0 }
            let expected = stream.count < 2 ? nil : Int(stream[0]) << 8 | Int(stream[1])
            let size = Int.random(in: 1...9, using: &generator)
            do {
                let payloads = try read(stream, inPiecesOf: size)
                #expect(payloads.first.map(\.count) == expected && payloads.count == 1, "seed \(generator.seed)")
            } catch {
                let expectation: ControlFrameError =
                    if let expected, expected > 4096 { .tooLarge(expected) } else { .truncated(stream.count) }
                #expect(error == expectation, "seed \(generator.seed)")
            }
        }
    }
}
