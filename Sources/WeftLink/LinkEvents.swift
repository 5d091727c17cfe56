// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc

/// Says that something about links, addresses, routes, rules or neighbours has changed. What, is for the listener to look
/// up: events may be lost when many come at a time, but never the last of them.
@safe
public struct LinkEvents: ~Copyable {
    private let socket: NetlinkObject

    /// What to listen to.
    public enum Interest: Sendable {
        /// What decides how a datagram leaves: links, addresses, routes, neighbours.
        case underlay
        /// What a tunnel puts into its host: links, addresses, routes, rules, and each interface's settings.
        case host
    }

    /// Listens from now on.
    public init(_ interest: Interest = .underlay) throws(LinkError) {
        var groups = [
            RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
        ]
        switch interest {
        case .underlay: groups.append(RTNLGRP_NEIGH)
        case .host: groups += [RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_NETCONF]
        }
        socket = try NetlinkObject(listeningTo: groups.map { Int32($0.rawValue) }, of: NETLINK_ROUTE)
    }

    /// The descriptor to wait on (POLLIN).
    public var descriptor: Int32 { unsafe nl_socket_get_fd(socket.pointer) }

    /// Takes what has come; whether that was anything.
    public mutating func drain() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 32768)
        var came = false
        // What doesn't fit is cut off: that something came is all that counts. ENOBUFS says so, too.
        for _ in 0..<1024 {
            let count = unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count >= 0 || errno == ENOBUFS || errno == EINTR else { break }
            came = true
        }
        return came
    }
}

/// Says which tables of nftables have changed.
@safe
public struct RulesetEvents: ~Copyable {
    private let socket: NetlinkObject

    /// Listens from now on. It takes CAP_NET_ADMIN.
    public init() throws(LinkError) {
        socket = try NetlinkObject(listeningTo: [Int32(NFNLGRP_NFTABLES.rawValue)], of: NETLINK_NETFILTER)
    }

    /// The descriptor to wait on (POLLIN).
    public var descriptor: Int32 { unsafe nl_socket_get_fd(socket.pointer) }

    /// Takes what has come, and gives the names of the tables that it was about; nil where some of it was lost.
    public mutating func drain() -> Set<String>? {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var tables: Set<String> = []
        for _ in 0..<1024 {
            let count = unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT | MSG_TRUNC))
            if count < 0 {
                if errno == EINTR { continue }
                return errno == ENOBUFS ? nil : tables
            }
            guard count <= buffer.count else { return nil }
            tables.formUnion(Self.tables(in: Array(buffer.prefix(count))))
        }
        return nil
    }

    /// The tables that a datagram of netlink messages is about.
    static func tables(in bytes: [UInt8]) -> Set<String> {
        var tables: Set<String> = []
        var rest = bytes[...]
        while rest.count >= MemoryLayout<nlmsghdr>.size {
            let length = Int(NetlinkAttributes.integer(rest.prefix(4)))
            guard (MemoryLayout<nlmsghdr>.size...rest.count).contains(length) else { break }
            let message = Array(rest.prefix(length))
            let type = Int32(NetlinkAttributes.integer(message[4..<6]))
            // In each kind of message but a generation's the first attribute is the table's name.
            if type >> 8 == NFNL_SUBSYS_NFTABLES, type & 0xFF != Int32(NFT_MSG_NEWGEN.rawValue),
                let name = NetlinkAttributes(message, from: MemoryLayout<nlmsghdr>.size + 4).text(1)
            {
                tables.insert(name)
            }
            rest = rest.dropFirst(min((length + 3) & ~3, rest.count))
        }
        return tables
    }
}

extension NetlinkObject {
    /// A socket that listens to groups of a netlink family, and that never waits.
    fileprivate init(listeningTo groups: [Int32], of family: Int32) throws(LinkError) {
        let socket = try unsafe NetlinkObject(nl_socket_alloc(), release: nl_socket_free)
        unsafe nl_socket_disable_seq_check(socket.pointer)
        var status = unsafe nl_connect(socket.pointer, family)
        for group in groups where status >= 0 {
            status = unsafe nl_socket_add_membership(socket.pointer, group)
        }
        guard status >= 0 else {
            throw .netlink(operation: "listen to changes of the host", reason: "libnl error \(status)")
        }
        unsafe nl_socket_set_nonblocking(socket.pointer)
        self = socket
    }
}
