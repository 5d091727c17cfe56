// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// Identification: any bytes have a verdict, which a naive reading of the rules confirms as far as it goes.
enum Identify {
    static func run(_ input: RawSpan) {
        let found = Identification(of: input)
        check(found == Identification(of: input), "another verdict the second time")
        check(found.payloadOffset <= input.byteCount, "payload at \(found.payloadOffset) of \(input.byteCount)")
        switch found.encapsulation {
        case .none: check(found.payloadOffset == 0, "payload behind no envelope")
        case .geneve(let vni):
            check(found.payloadOffset == 8 && vni < 1 << 24, "envelope of \(found.payloadOffset) bytes, VNI \(vni)")
            check([.disco, .wireGuard, .unknown].contains(found.kind), "\(found.kind) inside")
        }
        let first = input.control(0)
        switch found.kind {
        case .data:
            check((6..<0x40).contains(first) && input.control(1) & 0x3F == 0 && input.byteCount >= 2, "data")
        case .stun:
            check(first < 0x40 && input.byteCount >= 20 && input.byteCount % 4 == 0, "stun")
        case .control:
            check(first >= 0x40 || input.control(1) == 0x51, "control")
        case .disco where found.encapsulation == .none: check(input.byteCount >= 62 && first == 0x54, "disco")
        case .wireGuard where found.encapsulation == .none:
            check((1...4).contains(first) && input.byteCount >= 32, "wireguard")
        case .disco, .wireGuard: break
        case .unknown: check(first < 0x40, "unknown")
        }
        // What is data to the fast path is data to the rules.
        if Identification.isCanonicalData(input, at: 0, count: input.byteCount) {
            check(found.kind == .data, "the fast path found data, the rules \(found.kind)")
        }
    }

    static func seeds() -> [[UInt8]] {
        let filler = (0..<200).map { UInt8($0) }
        let wireGuard = [(1, 148), (2, 92), (3, 64), (4, 96)].map { [UInt8($0.0), 0, 0, 0] + filler.prefix($0.1 - 4) }
        let disco: [UInt8] = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC] + filler.prefix(80)
        let envelope: [UInt8] = [0, 0, 0x7A, 0x11, 1, 2, 3, 0]
        return [
            [0x06, 0x40, 8, 0, 0, 0, 7, 0] + filler, [0x3F, 0] + filler, disco, envelope + disco, [0xC0] + filler,
            [0x40, 0x51] + filler, [0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42] + filler.prefix(20), [], [0],
        ] + wireGuard + wireGuard.map { [0, 0, 0x7A, 0x12, 1, 2, 3, 0] + $0 }
    }
}
