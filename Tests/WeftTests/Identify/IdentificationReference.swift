// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// The rules once more, as a table that is read from top to bottom: naive, and sharing nothing with what it checks.
enum IdentificationReference {
    struct Verdict: Equatable {
        var kind: PacketKind
        var vni: UInt32?
        var offset = 0
    }

    typealias Rule = (applies: @Sendable ([UInt8]) -> Bool, verdict: @Sendable ([UInt8]) -> Verdict)

    static let rules: [Rule] = [
        ({ isDisco($0) }, { _ in Verdict(kind: .disco) }),
        ({ at($0, 0, where: { $0 >= 128 }) }, { _ in Verdict(kind: .control) }),
        ({ at($0, 1, where: { $0 == 0x51 }) }, { _ in Verdict(kind: .control) }),
        ({ isSTUN($0) }, { _ in Verdict(kind: .stun) }),
        (
            { at($0, 0, where: { (6..<64).contains($0) }) && at($0, 1, where: { $0 % 64 == 0 }) },
            { _ in Verdict(kind: .data) }
        ),
        ({ isEnvelope($0) }, { inEnvelope($0) }),
        ({ isWireGuard($0) }, { _ in Verdict(kind: .wireGuard) }),
        ({ at($0, 0, where: { (64..<128).contains($0) }) }, { _ in Verdict(kind: .control) }),
    ]

    static func verdict(_ bytes: [UInt8]) -> Verdict {
        for rule in rules where rule.applies(bytes) { return rule.verdict(bytes) }
        return Verdict(kind: .unknown)
    }

    private static func at(_ bytes: [UInt8], _ offset: Int, where holds: (UInt8) -> Bool) -> Bool {
        offset < bytes.count && holds(bytes[offset])
    }

    private static func begins(_ bytes: [UInt8], _ prefix: [UInt8]) -> Bool {
        Array(bytes.prefix(prefix.count)) == prefix
    }

    private static func isDisco(_ bytes: [UInt8]) -> Bool {
        begins(bytes, [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC]) && bytes.count >= 6 + 32 + 24
    }

    private static func isSTUN(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 20 else { return false }
        let length = Int(bytes[2]) * 256 + Int(bytes[3])
        return bytes[0] < 64 && Array(bytes[4..<8]) == [0x21, 0x12, 0xA4, 0x42] && bytes.count == 20 + length
            && length.isMultiple(of: 4)
    }

    private static let wireGuardLengths: [UInt8: ClosedRange<Int>] = [
        1: 148...148, 2: 92...92, 3: 64...64, 4: 32...Int.max,
    ]

    private static func isWireGuard(_ bytes: [UInt8]) -> Bool {
        guard let type = bytes.first, let lengths = wireGuardLengths[type] else { return false }
        return begins(bytes, [type, 0, 0, 0]) && lengths.contains(bytes.count)
    }

    private static func isEnvelope(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 8 && begins(bytes, [0, 0]) && bytes[7] == 0
    }

    private static func inEnvelope(_ bytes: [UInt8]) -> Verdict {
        let inner = Array(bytes[8...])
        let named: PacketKind? =
            Array(bytes[2..<4]) == [0x7A, 0x11] ? .disco : Array(bytes[2..<4]) == [0x7A, 0x12] ? .wireGuard : nil
        let seen: PacketKind? = isDisco(inner) ? .disco : isWireGuard(inner) ? .wireGuard : nil
        let said = Set([named, seen].compactMap { $0 })
        let vni = UInt32(bytes[4]) << 16 | UInt32(bytes[5]) << 8 | UInt32(bytes[6])
        return Verdict(kind: said.count == 1 ? said.first ?? .unknown : .unknown, vni: vni, offset: 8)
    }
}

extension Identification {
    /// In the reference's form.
    var verdict: IdentificationReference.Verdict {
        switch encapsulation {
        case .none: .init(kind: kind, offset: payloadOffset)
        case .geneve(let vni): .init(kind: kind, vni: vni, offset: payloadOffset)
        }
    }
}
