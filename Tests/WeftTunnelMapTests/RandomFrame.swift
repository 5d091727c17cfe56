// SPDX-License-Identifier: Apache-2.0
import Weft

/// Repeats itself for a seed (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

/// Frames of every shape that leaves an interface: whole and cut off, with options, extension headers, fragments, tags.
enum RandomFrame {
    static func make(_ random: inout Seeded) -> [UInt8] {
        var frame: [UInt8] = (0..<12).map { _ in UInt8.random(in: 0...255, using: &random) }
        switch Int.random(in: 0..<20, using: &random) {
        case 0: frame += [0x81, 0x00, 0, 7]
        case 1: frame += [0x88, 0xA8, 0, 7, 0x81, 0x00, 0, 8]
        case 2: return frame + [0x08, 0x06] + bytes(28, &random)
        default: break
        }
        if Bool.random(using: &random) {
            frame += [0x08, 0x00] + v4(&random)
        } else {
            frame += [0x86, 0xDD] + v6(&random)
        }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return Array(frame.prefix(Int.random(in: 15...frame.count, using: &random)))
        case 1: return frame + bytes(Int.random(in: 1...20, using: &random), &random)
        case 2:
            // Whatever a bit error may do behind the Ethernet header.
            frame[Int.random(in: 14..<frame.count, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
            return frame
        default: return frame
        }
    }

    private static func bytes(_ count: Int, _ random: inout Seeded) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private static func transport(_ random: inout Seeded) -> (number: UInt8, bytes: [UInt8]) {
        let number: UInt8 = [6, 17, 6, 17, 132, 33, 136, 1, 58, 50, 47].randomElement(using: &random) ?? 6
        var body = bytes([0, 2, 3, 4, 8, 20, 40].randomElement(using: &random) ?? 20, &random)
        if number == 17, body.count >= 4, Int.random(in: 0..<6, using: &random) == 0 {
            // A probe or its answer.
            let at = Bool.random(using: &random) ? 0 : 2
            body[at] = UInt8(9997 >> 8)
            body[at + 1] = UInt8(9997 & 0xFF)
        }
        return (number, body)
    }

    /// In 10.0.0.0/8, of which parts have entries, and seldom elsewhere.
    private static func destination(v6: Bool, _ random: inout Seeded) -> [UInt8] {
        switch Int.random(in: 0..<12, using: &random) {
        case 0: return v6 ? [0xFF, 2] + bytes(14, &random) : [239] + bytes(3, &random)
        case 1: return v6 ? [0xFE, 0x80] + bytes(14, &random) : [255, 255, 255, 255]
        case 2: return bytes(v6 ? 16 : 4, &random)
        default:
            let part = UInt8.random(in: 0...8, using: &random), host = UInt8.random(in: 0...3, using: &random)
            return v6 ? [0xFD, 0, part] + [UInt8](repeating: 0, count: 12) + [host] : [10, part, 0, host]
        }
    }

    private static func v4(_ random: inout Seeded) -> [UInt8] {
        let (number, body) = transport(&random)
        let words = Bool.random(using: &random) ? 5 : Int.random(in: 3...15, using: &random)
        let options = bytes(max(0, words * 4 - 20), &random)
        var length = 20 + options.count + body.count
        switch Int.random(in: 0..<12, using: &random) {
        case 0: length = Int.random(in: 0...80, using: &random)
        case 1: length = 0
        default: break
        }
        let fragment: UInt16 = [0, 0, 0, 0, 0x4000, 0x2000, 0x0007, 0x2010].randomElement(using: &random) ?? 0
        return [
            0x40 | UInt8(words), UInt8.random(in: 0...255, using: &random), UInt8(length >> 8), UInt8(length & 255),
        ]
            + bytes(2, &random) + [UInt8(fragment >> 8), UInt8(fragment & 255), 64, number, 0, 0]
            + [192, 0, 2, UInt8.random(in: 0...255, using: &random)] + destination(v6: false, &random) + options + body
    }

    private static func v6(_ random: inout Seeded) -> [UInt8] {
        let (number, body) = transport(&random)
        var payload: [UInt8] = body
        var next = number
        for _ in 0..<([0, 0, 0, 1, 2, 3, 8, 9, 10].randomElement(using: &random) ?? 0) {
            let kind: UInt8 = [0, 43, 60, 44, 51, 135].randomElement(using: &random) ?? 0
            var header: [UInt8]
            switch kind {
            case 44:
                let offset: UInt16 = [0, 0, 1, 0x0100, 0x0006].randomElement(using: &random) ?? 0
                header = [next, 0, UInt8(offset >> 8), UInt8(offset & 255)] + bytes(4, &random)
            case 51:
                let words = Int.random(in: 0...4, using: &random)
                header = [next, UInt8(words)] + bytes((words + 2) * 4 - 2, &random)
            default:
                let words = Int.random(in: 0...2, using: &random)
                header = [next, UInt8(words)] + bytes(words * 8 + 6, &random)
            }
            payload = header + payload
            next = kind
        }
        var length = payload.count
        switch Int.random(in: 0..<12, using: &random) {
        case 0: length = Int.random(in: 0...80, using: &random)
        case 1: length = 0
        default: break
        }
        return [0x60 | UInt8.random(in: 0...15, using: &random)] + bytes(3, &random)
            + [UInt8(length >> 8), UInt8(length & 255), next, 64]
            + [0xFD] + bytes(15, &random) + destination(v6: true, &random) + payload
    }
}
