// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

/// What a virtual Ethernet pair is made from: two interfaces, of which each receives what the other sends.
public struct VirtualPair: Hashable, Sendable {
    /// The end that the host uses.
    public var name: String
    public var mac: MACAddress
    /// The end that a program uses.
    public var peerName: String
    public var peerMAC: MACAddress
    /// Queues of both ends, each way.
    public var queues: Int
    /// Bytes of an IP packet.
    public var mtu: Int

    public init(
        name: String, mac: MACAddress, peerName: String, peerMAC: MACAddress, queues: Int, mtu: Int
    ) {
        self.name = name
        self.mac = mac
        self.peerName = peerName
        self.peerMAC = peerMAC
        self.queues = queues
        self.mtu = mtu
    }
}

/// A link as it is at one moment.
public struct LinkStatus: Hashable, Sendable {
    public let index: Int32
    public let name: String
    /// Nil where the link has none of 48 bits.
    public let mac: MACAddress?
    /// Bytes of an IP packet.
    public let mtu: Int
    public let isUp: Bool
    /// The number of its group; 0 for the kernel's default.
    public let group: UInt32
    /// The kind, such as `veth`; nil for a physical device.
    public let kind: String?
    public let alias: String?
    /// Whether an XDP program is attached.
    public let hasXDP: Bool
}

extension Netlink {
    /// Makes a pair, down and without a link-local address. Its first end bears `alias`, by which it is known again.
    public mutating func makePair(_ pair: VirtualPair, alias: String) throws(LinkError) {
        let link = try unsafe NetlinkObject(rtnl_link_veth_alloc(), release: rtnl_link_put)
        // SAFETY: the peer is the link's own; the reference that this call adds is given back.
        let peer = try unsafe NetlinkObject(rtnl_link_veth_get_peer(link.pointer), release: rtnl_link_put)
        try describe(link, pair.name, pair.mac, pair)
        try describe(peer, pair.peerName, pair.peerMAC, pair)
        let message = try unsafe request { message in
            unsafe rtnl_link_build_add_request(link.pointer, NLM_F_CREATE | NLM_F_EXCL, &message)
        }
        try send(message, to: "make the interfaces \(pair.name) and \(pair.peerName)")
        // The kernel takes no alias while it makes a link.
        let index = try interfaceIndex(of: pair.name)
        let change = try changeMessage(for: index)
        guard unsafe nla_put_string(change.pointer, Int32(IFLA_IFALIAS), alias) >= 0 else { throw .outOfMemory }
        try send(change, to: "mark the interface \(pair.name) as ours")
    }

    private func describe(
        _ link: borrowing NetlinkObject, _ name: String, _ mac: MACAddress, _ pair: VirtualPair
    ) throws(LinkError) {
        let address = try NetlinkObject(mac)
        unsafe rtnl_link_set_name(link.pointer, name)
        // SAFETY: the link takes a reference of its own to the address.
        unsafe rtnl_link_set_addr(link.pointer, address.pointer)
        unsafe rtnl_link_set_mtu(link.pointer, UInt32(clamping: pair.mtu))
        unsafe rtnl_link_set_num_tx_queues(link.pointer, UInt32(clamping: pair.queues))
        unsafe rtnl_link_set_num_rx_queues(link.pointer, UInt32(clamping: pair.queues))
    }

    /// Removes a link, with all that is configured on it; one that isn't there is fine.
    public mutating func removeLink(_ index: Int32) throws(LinkError) {
        let link = try unsafe NetlinkObject(rtnl_link_alloc(), release: rtnl_link_put)
        unsafe rtnl_link_set_ifindex(link.pointer, index)
        let message = try unsafe request { message in
            unsafe rtnl_link_build_delete_request(link.pointer, &message)
        }
        do {
            try send(message, to: "remove interface \(index)")
        } catch .refused(_, ENODEV) {
            return
        }
    }

    /// A link by its name.
    /// - Throws: `LinkError.noInterface`.
    public mutating func linkStatus(of name: String) throws(LinkError) -> LinkStatus {
        try status(of: try link(index: 0, name: name))
    }

    /// A link by its index.
    /// - Throws: `LinkError.noInterface`.
    public mutating func linkStatus(of index: Int32) throws(LinkError) -> LinkStatus {
        try status(of: try link(index: index, name: nil))
    }

    private mutating func status(of link: borrowing NetlinkObject) throws(LinkError) -> LinkStatus {
        let index = unsafe rtnl_link_get_ifindex(link.pointer)
        // SAFETY: the texts belong to the link, which lives until the end of this call; they are copied.
        return unsafe LinkStatus(
            index: index, name: rtnl_link_get_name(link.pointer).map { unsafe String(cString: $0) } ?? "\(index)",
            mac: macAddress(of: rtnl_link_get_addr(link.pointer)), mtu: Int(rtnl_link_get_mtu(link.pointer)),
            isUp: rtnl_link_get_flags(link.pointer) & UInt32(IFF_UP) != 0,
            group: rtnl_link_get_group(link.pointer),
            kind: rtnl_link_get_type(link.pointer).map { unsafe String(cString: $0) },
            alias: rtnl_link_get_ifalias(link.pointer).map { unsafe String(cString: $0) },
            hasXDP: try hasXDP(index))
    }

    /// A link by its name, without an XDP program if that goes soon: a process that was killed ends a moment later.
    /// - Throws: `LinkError.noInterface`.
    public mutating func settledLinkStatus(of name: String) throws(LinkError) -> LinkStatus {
        for _ in 0..<50 {
            let status = try linkStatus(of: name)
            if !status.hasXDP { return status }
            usleep(10_000)
        }
        return try linkStatus(of: name)
    }

    /// libnl's link objects don't know the attribute.
    private mutating func hasXDP(_ index: Int32) throws(LinkError) -> Bool {
        let message = try unsafe NetlinkObject(nlmsg_alloc_simple(Int32(RTM_GETLINK), 0), release: nlmsg_free)
        var header = ifinfomsg()
        header.ifi_index = index
        // SAFETY: libnl copies the header's bytes, whose count stands beside it, before the call returns.
        guard unsafe nlmsg_append(message.pointer, &header, MemoryLayout<ifinfomsg>.size, Int32(NLMSG_ALIGNTO)) >= 0
        else { throw .outOfMemory }
        return try ask(message, to: "look up interface \(index)").map { LinkStatus.hasXDP(message: $0) } ?? false
    }
}

extension LinkStatus {
    /// Whether an RTM_NEWLINK message with its header tells of an XDP program.
    static func hasXDP(message: [UInt8]) -> Bool {
        let attributes = NetlinkAttributes(message, from: MemoryLayout<nlmsghdr>.size + MemoryLayout<ifinfomsg>.size)
        guard let xdp = attributes.bytes(Int(IFLA_XDP)) else { return false }
        return NetlinkAttributes(Array(xdp), from: 0).uint8(Int(IFLA_XDP_ATTACHED)).map { $0 != 0 } ?? false
    }
}

extension NetlinkObject {
    /// libnl's form of a MAC address.
    init(_ mac: MACAddress) throws(LinkError) {
        let bytes = (0..<6).map { UInt8(truncatingIfNeeded: mac.bits >> UInt64(40 - $0 * 8)) }
        // SAFETY: libnl copies the bytes, whose count stands beside them, before the call returns.
        try unsafe self.init(nl_addr_build(Int32(AF_LLC), bytes, bytes.count), release: nl_addr_put)
    }
}

/// The MAC address in a `nl_addr` that the caller keeps alive for this call; nil unless it has six bytes, not all zero
/// as a loopback's are.
func macAddress(of pointer: OpaquePointer?) -> MACAddress? {
    guard let pointer = unsafe pointer, unsafe nl_addr_get_len(pointer) == 6,
        let bytes = unsafe nl_addr_get_binary_addr(pointer)
    else { return nil }
    // SAFETY: libnl guarantees `nl_addr_get_len` bytes at that address.
    let bits = unsafe UnsafeRawBufferPointer(start: bytes, count: 6).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return bits == 0 ? nil : MACAddress(bits: bits)
}
