// SPDX-License-Identifier: Apache-2.0
@testable import WeftQUIC

/// What a peer's packets say once they are decrypted. The first byte of an input is the packet's own.
enum Frames {
    static func run(_ input: RawSpan) {
        let payload = input.array(from: 1)
        guard let protection = FrameGuard.Protection(firstByte: input.control(0)) else { return }
        var frameGuard = FrameGuard()
        frameGuard.mayConfirmHandshake = input.control(0) & 1 == 0
        var isAdmitted = true
        do { try frameGuard.check(payload.span, protection) } catch { isAdmitted = false }
        var reader = QUICFrameReader()
        while true {
            let before = reader.offset
            guard let frame = try? reader.next(in: payload.span) else { break }
            check(
                reader.offset > before && reader.offset <= payload.count, "a frame from \(before) to \(reader.offset)")
            check(payload[before] == frame.type.rawValue, "the type at \(before)")
            guard isAdmitted else { continue }
            if case .newConnectionID(let sequence, let retired) = frame {
                check(protection == .oneRTT && retired == 0 && sequence < 16, "an id was admitted: \(frame)")
            }
            check(frame.type != .handshakeDone || frameGuard.mayConfirmHandshake, "HANDSHAKE_DONE was admitted")
        }
        check(!isAdmitted || reader.offset == payload.count, "admitted, but read up to \(reader.offset)")
    }

    /// Frames of each shape, alone and together, in packets of either kind.
    static func seeds() -> [[UInt8]] {
        let id: [UInt8] = [0x18, 3, 0, 8] + [UInt8](repeating: 7, count: 24)
        let frames: [[UInt8]] = [
            [0, 1], [2, 0x80, 1, 0x11, 0x70, 3, 1, 1, 0, 5], [3, 9, 0, 0, 9, 1, 2, 3], [4, 4, 1, 2], [6, 0, 2, 1, 2],
            [7, 1, 9], [0x0A, 0, 2, 1, 2], [0x0F, 0, 0x40, 77, 0], [0x11, 4, 5], [0x19, 2],
            [0x1A, 1, 2, 3, 4, 5, 6, 7, 8], [0x1C, 10, 24, 1, 65], [0x1D, 10, 0], [0x1E], id,
            [0x18, 8, 8] + id.dropFirst(3),
        ]
        return [0x40, 0x41, 0xE0].flatMap { first in
            frames.map { [first] + $0 } + [[first] + frames.joined()]
        }
    }
}
