// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

// Between our types and the structures in the kernel's maps. The initialisers from structures take nothing on trust: the maps may
// have been damaged.

extension weft_address {
    init(_ address: IPAddress?) {
        self.init(high: address?.high.bigEndian ?? 0, low: address?.low.bigEndian ?? 0)
    }

    func address(v6: Bool) -> IPAddress? {
        guard high != 0 || low != 0 else { return nil }
        let (first, last) = (UInt64(bigEndian: high), UInt64(bigEndian: low))
        return v6 ? IPAddress(v6: first, last) : IPAddress(v4: UInt32(truncatingIfNeeded: first >> 32))
    }
}

extension weft_local {
    init(_ address: IPAddress) {
        self.init(address: weft_address(address), v6: address.family == .v6 ? 1 : 0)
    }
}

extension weft_sender {
    init(_ sender: GeneveSender) {
        self.init(
            address: weft_address(sender.address), vni: sender.vni, v6: sender.address.family == .v6 ? 1 : 0)
    }
}

extension weft_prefix_v4 {
    init(_ prefix: Prefix) {
        self.init(length: UInt32(prefix.length), address: prefix.address.v4Bits.bigEndian)
    }

    var prefix: Prefix? { Prefix(IPAddress(v4: UInt32(bigEndian: address)), length: Int(length)) }
}

extension weft_prefix_v6 {
    init(_ prefix: Prefix) {
        func word(_ bits: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: bits).bigEndian }
        let (high, low) = (prefix.address.high, prefix.address.low)
        self.init(length: UInt32(prefix.length), address: (word(high >> 32), word(high), word(low >> 32), word(low)))
    }

    var prefix: Prefix? {
        func half(_ first: UInt32, _ second: UInt32) -> UInt64 {
            UInt64(UInt32(bigEndian: first)) << 32 | UInt64(UInt32(bigEndian: second))
        }
        return Prefix(
            IPAddress(v6: half(address.0, address.1), half(address.2, address.3)), length: Int(length))
    }
}

/// Copies text into a fixed array of characters, filled up with zeros.
private func fill<Characters>(_ target: inout Characters, with text: String) {
    unsafe withUnsafeMutableBytes(of: &target) { bytes in
        for (index, byte) in text.utf8.prefix(bytes.count - 1).enumerated() { unsafe bytes[index] = byte }
    }
}

private func text<Characters>(of source: Characters) -> String {
    unsafe withUnsafeBytes(of: source) { bytes in
        unsafe String(decoding: unsafe bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}

extension weft_name {
    init(_ name: String) {
        self.init()
        fill(&bytes, with: name)
    }

    var name: String { text(of: bytes) }
}

/// A nexthop without what groups add to it: its weight and its peer.
struct NexthopRecord: Hashable {
    let remote: IPAddress?
    let local: IPAddress?
    let vni: UInt32
    let interface: String
    let interfaceIndex: UInt32
    let `protocol`: NexthopProtocol
    let setsKey: Bool
    let seed: UInt64

    init(_ nexthop: Nexthop, interfaceIndex: UInt32) {
        remote = nexthop.remote
        local = nexthop.local
        vni = nexthop.vni
        interface = nexthop.interface
        self.interfaceIndex = interfaceIndex
        `protocol` = nexthop.protocol
        setsKey = nexthop.setsKey
        seed = nexthop.seed
    }

    init?(_ value: weft_nexthop) {
        guard let kind = NexthopProtocol(number: value.protocol) else { return nil }
        let isV6 = value.flags & UInt32(WEFT_NEXTHOP_UNDERLAY_V6) != 0
        remote = value.remote.address(v6: isV6)
        local = value.local.address(v6: isV6)
        vni = value.vni
        interface = text(of: value.interface_name)
        interfaceIndex = value.interface
        `protocol` = kind
        setsKey = value.flags & UInt32(WEFT_NEXTHOP_SET_KEY) != 0
        seed = value.seed
    }

    var value: weft_nexthop {
        var value = weft_nexthop()
        value.remote = weft_address(remote)
        value.local = weft_address(local)
        value.interface = interfaceIndex
        value.vni = vni
        value.protocol = `protocol`.number
        value.seed = seed
        if setsKey { value.flags |= UInt32(WEFT_NEXTHOP_SET_KEY) }
        if (remote ?? local)?.family == .v6 { value.flags |= UInt32(WEFT_NEXTHOP_UNDERLAY_V6) }
        if remote != nil, `protocol`.carriesFrames || `protocol` == .plain {
            value.flags |= UInt32(WEFT_NEXTHOP_SET_MAC)
        }
        fill(&value.interface_name, with: interface)
        return value
    }

    func nexthop(weight: UInt32, peer: String) -> Nexthop {
        Nexthop(
            remote: remote, local: local, vni: vni, interface: interface, protocol: `protocol`, weight: Int(weight),
            peer: peer, setsKey: setsKey)
    }
}

/// What is in a group, in an order that depends on nothing else.
struct GroupContent: Hashable {
    struct Member: Hashable {
        let seed: UInt64
        let nexthop: UInt32
        let peer: UInt32
        let weight: UInt32
    }

    let members: [Member]
    let neverInTheClear: Bool

    init(members: [Member], neverInTheClear: Bool) {
        self.members = members.sorted { ($0.seed, $0.nexthop) < ($1.seed, $1.nexthop) }
        self.neverInTheClear = neverInTheClear
    }

    init?(_ value: weft_group) {
        guard value.count <= UInt32(WEFT_MEMBERS) else { return nil }
        let members = unsafe withUnsafeBytes(of: value.members) { bytes in
            // SAFETY: the structure has room for WEFT_MEMBERS members, of which there are at most that many.
            (0..<Int(value.count)).map { index in
                let member = unsafe bytes.load(
                    fromByteOffset: index * MemoryLayout<weft_member>.stride, as: weft_member.self)
                return Member(seed: member.seed, nexthop: member.nexthop, peer: member.peer, weight: member.weight)
            }
        }
        self.init(members: members, neverInTheClear: value.flags & UInt32(WEFT_GROUP_NEVER_CLEAR) != 0)
    }

    var value: weft_group {
        var value = weft_group()
        value.count = UInt32(members.count)
        value.flags = neverInTheClear ? UInt32(WEFT_GROUP_NEVER_CLEAR) : 0
        unsafe withUnsafeMutableBytes(of: &value.members) { bytes in
            // SAFETY: entries have at most WEFT_MEMBERS nexthops, for which there is room; the store checks its bounds.
            for (index, member) in members.enumerated() {
                unsafe bytes.storeBytes(
                    of: weft_member(
                        seed: member.seed, nexthop: member.nexthop, peer: member.peer, weight: member.weight,
                        reserved: 0),
                    toByteOffset: index * MemoryLayout<weft_member>.stride, as: weft_member.self)
            }
        }
        return value
    }
}
