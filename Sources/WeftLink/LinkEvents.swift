// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc

/// Says that something about links, addresses, routes or neighbours has changed. What, is for the listener to look up:
/// events may be lost when many come at a time, but never the last of them.
@safe
public struct LinkEvents: ~Copyable {
    private let socket: NetlinkObject

    /// Listens from now on.
    public init() throws(LinkError) {
        let socket = try unsafe NetlinkObject(nl_socket_alloc(), release: nl_socket_free)
        unsafe nl_socket_disable_seq_check(socket.pointer)
        var status = unsafe nl_connect(socket.pointer, NETLINK_ROUTE)
        let groups = [
            RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
            RTNLGRP_IPV6_ROUTE,
        ]
        for group in groups where status >= 0 {
            status = unsafe nl_socket_add_membership(socket.pointer, Int32(group.rawValue))
        }
        guard status >= 0 else {
            throw .netlink(operation: "listen to changes of links", reason: "libnl error \(status)")
        }
        unsafe nl_socket_set_nonblocking(socket.pointer)
        self.socket = socket
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
