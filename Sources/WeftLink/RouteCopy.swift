// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

/// A route as the kernel says it, made Weft's own and put into another table: equal copies are equal bytes.
struct RouteCopy: Hashable {
    let family: IPAddress.Family
    let prefix: Prefix
    private let header: [UInt8]
    private let attributes: [Attribute]

    private struct Attribute: Hashable {
        let type: UInt16
        let payload: [UInt8]
    }

    /// What a route is made of, beside its table and what the kernel only tells.
    private static let kept = [
        RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS, RTA_MULTIPATH, RTA_VIA, RTA_PREF,
        RTA_ENCAP_TYPE, RTA_ENCAP, RTA_NH_ID,
    ].map { Int($0.rawValue) }

    /// What a nexthop object says by itself.
    private static let ofNexthop = Set(
        [RTA_OIF, RTA_GATEWAY, RTA_MULTIPATH, RTA_VIA, RTA_ENCAP_TYPE, RTA_ENCAP].map { Int($0.rawValue) })

    /// - Parameter message: an RTM_NEWROUTE message with its header, which ``KernelRoute`` could read.
    init?(_ route: KernelRoute, message: [UInt8], into table: UInt32) {
        guard let (read, all) = NetlinkAttributes.read(message, behind: rtmsg.self) else { return nil }
        family = route.prefix.family
        prefix = route.prefix
        var header = rtmsg()
        header.rtm_family = read.rtm_family
        header.rtm_dst_len = read.rtm_dst_len
        header.rtm_tos = read.rtm_tos
        header.rtm_protocol = RouteProtocol.weft.rawValue
        header.rtm_scope = read.rtm_scope
        header.rtm_type = read.rtm_type
        header.rtm_flags = read.rtm_flags & UInt32(RTNH_F_ONLINK)
        // SAFETY: the header is numbers alone, without padding, and is copied.
        self.header = unsafe withUnsafeBytes(of: header) { unsafe Array($0) }
        let isObject = all.bytes(Int(RTA_NH_ID.rawValue)) != nil
        var attributes: [Attribute] = []
        for type in Self.kept where !isObject || !Self.ofNexthop.contains(type) {
            guard var payload = all.bytes(type).map({ Array($0) }), let number = UInt16(exactly: type) else { continue }
            if type == Int(RTA_MULTIPATH.rawValue) { Self.forgetStates(in: &payload) }
            attributes.append(Attribute(type: number, payload: payload))
        }
        let number = unsafe withUnsafeBytes(of: table) { unsafe Array($0) }
        attributes.append(Attribute(type: UInt16(RTA_TABLE.rawValue), payload: number))
        self.attributes = attributes
    }

    /// Whether its ways are alive is the kernel's to say.
    private static func forgetStates(in nexthops: inout [UInt8]) {
        var start = 0
        while start + MemoryLayout<rtnexthop>.size <= nexthops.count {
            let length = Int(NetlinkAttributes.integer(nexthops[start..<start + 2]))
            nexthops[start + 2] &= UInt8(RTNH_F_ONLINK)
            guard length >= MemoryLayout<rtnexthop>.size else { return }
            start += (length + 3) & ~3
        }
    }

    func message(_ type: Int32, flags: Int32) throws(LinkError) -> NetlinkObject {
        let message = try unsafe NetlinkObject(nlmsg_alloc_simple(type, flags), release: nlmsg_free)
        var header = header
        // SAFETY: libnl copies the bytes, whose count stands beside them, before each call returns.
        guard unsafe nlmsg_append(message.pointer, &header, header.count, Int32(NLMSG_ALIGNTO)) >= 0 else {
            throw .outOfMemory
        }
        for attribute in attributes {
            guard
                unsafe nla_put(
                    message.pointer, Int32(attribute.type), Int32(attribute.payload.count), attribute.payload) >= 0
            else { throw .outOfMemory }
        }
        return message
    }
}
