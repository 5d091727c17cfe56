// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

/// How the kernel would reach an address.
public struct PathStatus: Hashable, Sendable {
    /// The interface's index.
    public let device: Int32
    /// The neighbour on that link: a router, or the destination itself.
    public let nextHop: IPAddress
    /// The address of ours that it would send from.
    public let source: IPAddress?
}

/// What the kernel knows of a neighbour (RFC 4861 section 7.3.2, likewise for ARP).
public struct NeighborStatus: Hashable, Sendable {
    /// Nil while it isn't resolved, and after that failed.
    public let mac: MACAddress?
    /// Set by somebody, rather than learned.
    public let isStatic: Bool
    /// Learned and confirmed lately, or static.
    public let isFresh: Bool
}

extension Netlink {
    /// Asks the kernel for its route to an address.
    /// - Parameters:
    ///   - source: an address of ours that packets would leave from; nil for the kernel's choice.
    ///   - mark: of the packets; 0 for none.
    /// - Returns: nil when there is none, or one that leads to no link.
    public mutating func path(
        to address: IPAddress, from source: IPAddress? = nil, mark: UInt32 = 0
    ) throws(LinkError) -> PathStatus? {
        let message = try unsafe NetlinkObject(nlmsg_alloc_simple(Int32(RTM_GETROUTE), 0), release: nlmsg_free)
        var header = rtmsg()
        header.rtm_family = UInt8(address.family.addressFamily)
        header.rtm_dst_len = UInt8(address.family.bitWidth)
        if let source { header.rtm_src_len = UInt8(source.family.bitWidth) }
        // SAFETY: libnl copies the header's bytes, whose count stands beside it, before the call returns.
        guard unsafe nlmsg_append(message.pointer, &header, MemoryLayout<rtmsg>.size, Int32(NLMSG_ALIGNTO)) >= 0
        else { throw .outOfMemory }
        try put(address, as: Int32(RTA_DST.rawValue), into: message)
        if let source { try put(source, as: Int32(RTA_SRC.rawValue), into: message) }
        if mark != 0 {
            guard unsafe nla_put_u32(message.pointer, Int32(RTA_MARK.rawValue), mark) >= 0 else { throw .outOfMemory }
        }
        let answer: [UInt8]?
        do {
            answer = try ask(message, to: "look up the route to \(address)")
        } catch .refused(_, ENETUNREACH), .refused(_, EHOSTUNREACH), .refused(_, EACCES), .refused(_, EINVAL) {
            return nil
        }
        return answer.flatMap { PathStatus(to: address, message: $0) }
    }

    /// What the kernel knows of a neighbour on a link; nil for nothing.
    public mutating func neighbor(_ address: IPAddress, on device: Int32) throws(LinkError) -> NeighborStatus? {
        let message = try neighborMessage(Int32(RTM_GETNEIGH), flags: 0, address, device, use: false)
        let answer: [UInt8]?
        do {
            answer = try ask(message, to: "look up the neighbour \(address)")
        } catch .refused(_, ENOENT) {
            return nil
        }
        return answer.flatMap { NeighborStatus(message: $0) }
    }

    /// Has the kernel resolve a neighbour, or confirm the one that it knows, as if a packet went there. Not for a
    /// static one, which would become an ordinary one.
    public mutating func useNeighbor(_ address: IPAddress, on device: Int32) throws(LinkError) {
        let message = try neighborMessage(
            Int32(RTM_NEWNEIGH), flags: NLM_F_CREATE | NLM_F_REPLACE, address, device, use: true)
        try send(message, to: "resolve the neighbour \(address)")
    }

    private func neighborMessage(
        _ type: Int32, flags: Int32, _ address: IPAddress, _ device: Int32, use: Bool
    ) throws(LinkError) -> NetlinkObject {
        let message = try unsafe NetlinkObject(nlmsg_alloc_simple(type, flags), release: nlmsg_free)
        var header = ndmsg()
        header.ndm_family = UInt8(address.family.addressFamily)
        header.ndm_ifindex = device
        if use { header.ndm_flags = UInt8(NTF_USE) }
        // SAFETY: libnl copies the header's bytes, whose count stands beside it, before the call returns.
        guard unsafe nlmsg_append(message.pointer, &header, MemoryLayout<ndmsg>.size, Int32(NLMSG_ALIGNTO)) >= 0
        else { throw .outOfMemory }
        try put(address, as: Int32(NDA_DST), into: message)
        return message
    }

    private func put(
        _ address: IPAddress, as attribute: Int32, into message: borrowing NetlinkObject
    ) throws(LinkError) {
        let bytes = address.bytes
        // SAFETY: libnl copies the bytes, whose count stands beside them, before the call returns.
        guard unsafe nla_put(message.pointer, attribute, Int32(bytes.count), bytes) >= 0 else { throw .outOfMemory }
    }
}

extension PathStatus {
    /// Reads an RTM_NEWROUTE message with its header, an answer about an address; nil for a route that leads to no link.
    init?(to address: IPAddress, message: [UInt8]) {
        guard let (route, attributes) = NetlinkAttributes.read(message, behind: rtmsg.self) else { return nil }
        guard Int(route.rtm_type) == Int(RTN_UNICAST), let device = attributes.uint32(Int(RTA_OIF.rawValue)) else {
            return nil
        }
        self.device = Int32(bitPattern: device)
        nextHop =
            attributes.address(Int(RTA_GATEWAY.rawValue)) ?? attributes.via(Int(RTA_VIA.rawValue)) ?? address
        source = attributes.address(Int(RTA_PREFSRC.rawValue))
    }
}

extension NeighborStatus {
    /// Reads an RTM_NEWNEIGH message with its header.
    init?(message: [UInt8]) {
        guard let (neighbor, attributes) = NetlinkAttributes.read(message, behind: ndmsg.self) else { return nil }
        let state = Int32(neighbor.ndm_state)
        mac = state & (NUD_FAILED | NUD_INCOMPLETE) == 0 ? attributes.mac(Int(NDA_LLADDR)) : nil
        isStatic = state & (NUD_PERMANENT | NUD_NOARP) != 0
        isFresh = isStatic || state & NUD_REACHABLE != 0
    }
}

extension NetlinkAttributes {
    /// The header that stands behind netlink's own in a message, and the attributes behind that; nil if it is cut off.
    static func read<Header: BitwiseCopyable>(
        _ message: [UInt8], behind type: Header.Type
    ) -> (Header, NetlinkAttributes)? {
        let start = MemoryLayout<nlmsghdr>.size
        let end = start + MemoryLayout<Header>.size
        guard message.count >= end else { return nil }
        // SAFETY: the bytes are there, and every bit pattern is one of the kernel's headers, which are numbers alone.
        let header = unsafe message.span.bytes.unsafeLoadUnaligned(fromByteOffset: start, as: type)
        return (header, NetlinkAttributes(message, from: end))
    }

    /// An address of either family, by its length.
    func address(_ type: Int) -> IPAddress? { bytes(type).flatMap(Self.address) }

    /// A nexthop of another family (struct rtvia): the family's number in front of the address.
    func via(_ type: Int) -> IPAddress? { bytes(type).flatMap { Self.address($0.dropFirst(2)) } }

    func mac(_ type: Int) -> MACAddress? {
        guard let bytes = bytes(type), bytes.count == 6 else { return nil }
        return MACAddress(bits: bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    private static func address(_ bytes: ArraySlice<UInt8>) -> IPAddress? {
        func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: return IPAddress(v4: UInt32(truncatingIfNeeded: number(bytes)))
        case 16: return IPAddress(v6: number(bytes.prefix(8)), number(bytes.suffix(8)))
        default: return nil
        }
    }
}
