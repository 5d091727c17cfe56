// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

extension Netlink {
    /// Adds a route with Weft's protocol number; an identical one that is there already is fine.
    public mutating func addRoute(_ wanted: WantedRoute) throws(LinkError) {
        let route = try routeObject(wanted)
        let message = try unsafe request { message in
            unsafe rtnl_route_build_add_request(route.pointer, NLM_F_CREATE | NLM_F_REPLACE, &message)
        }
        try send(message, to: "add route \(wanted)")
    }

    /// Removes Weft's own route; anybody else's stays, and none at all is fine.
    public mutating func removeRoute(_ wanted: WantedRoute) throws(LinkError) {
        let route = try routeObject(wanted)
        let message = try unsafe request { message in
            unsafe rtnl_route_build_del_request(route.pointer, 0, &message)
        }
        do {
            try send(message, to: "remove route \(wanted)")
        } catch .refused(_, ESRCH), .refused(_, ENODEV), .refused(_, EAFNOSUPPORT) {
            return
        }
    }

    func routeObject(_ wanted: WantedRoute) throws(LinkError) -> NetlinkObject {
        let prefix = wanted.prefix
        let destination = try NetlinkObject(prefix.address, length: prefix.length)
        let route = try unsafe NetlinkObject(rtnl_route_alloc(), release: rtnl_route_put)
        // SAFETY: the route takes a reference of its own to the destination.
        guard unsafe rtnl_route_set_dst(route.pointer, destination.pointer) >= 0,
            unsafe rtnl_route_set_family(route.pointer, UInt8(prefix.family.addressFamily)) >= 0
        else { throw .outOfMemory }
        unsafe rtnl_route_set_table(route.pointer, wanted.table)
        unsafe rtnl_route_set_protocol(route.pointer, RouteProtocol.weft.rawValue)
        switch wanted.way {
        case .unreachable:
            unsafe rtnl_route_set_type(route.pointer, UInt8(RTN_UNREACHABLE))
            unsafe rtnl_route_set_scope(route.pointer, UInt8(RT_SCOPE_UNIVERSE.rawValue))
            unsafe rtnl_route_set_priority(route.pointer, WantedRoute.lastMetric)
        case .device(let device, let gateway):
            // IPv6 routes have no scope.
            let isLink = prefix.family == .v4 && gateway == nil
            let scope = isLink ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
            unsafe rtnl_route_set_scope(route.pointer, UInt8(scope.rawValue))
            guard let nexthop = unsafe rtnl_route_nh_alloc() else { throw .outOfMemory }
            unsafe rtnl_route_nh_set_ifindex(nexthop, device)
            if let gateway {
                let router = try NetlinkObject(gateway, length: gateway.family.bitWidth)
                // SAFETY: the nexthop takes a reference of its own to the router's address.
                unsafe rtnl_route_nh_set_gateway(nexthop, router.pointer)
                unsafe rtnl_route_nh_set_flags(nexthop, UInt32(RTNH_F_ONLINK))
            }
            // SAFETY: from here on the route owns the nexthop and frees it.
            unsafe rtnl_route_add_nexthop(route.pointer, nexthop)
        }
        return route
    }

    /// One table's routes of a family, those of the whole table or only those into a device.
    ///
    /// The kernel picks them out itself where it can (Linux 4.20): a host may have a million others.
    public mutating func tableRoutes(
        _ family: IPAddress.Family, table: UInt32, device: Int32? = nil
    ) throws(LinkError) -> [KernelRoute] {
        try routeMessages(family, table: table, device: device).compactMap { KernelRoute(message: $0) }.filter {
            route in
            route.table == table && route.prefix.family == family
                && (device.map { index in route.nexthops.contains { $0.device == index } } ?? true)
        }
    }

    /// The same as messages with their headers, where an older kernel also gives others.
    /// - Parameter table: 0 for all of them.
    mutating func routeMessages(
        _ family: IPAddress.Family, table: UInt32, device: Int32? = nil
    ) throws(LinkError) -> [[UInt8]] {
        let message = try unsafe NetlinkObject(
            nlmsg_alloc_simple(Int32(RTM_GETROUTE), NLM_F_DUMP), release: nlmsg_free)
        var header = rtmsg()
        header.rtm_family = UInt8(family.addressFamily)
        // SAFETY: libnl copies the header's bytes, whose count stands beside it, before the call returns.
        guard unsafe nlmsg_append(message.pointer, &header, MemoryLayout<rtmsg>.size, Int32(NLMSG_ALIGNTO)) >= 0,
            unsafe nla_put_u32(message.pointer, Int32(RTA_TABLE.rawValue), table) >= 0
        else { throw .outOfMemory }
        if let device {
            guard unsafe nla_put_u32(message.pointer, Int32(RTA_OIF.rawValue), UInt32(bitPattern: device)) >= 0
            else { throw .outOfMemory }
        }
        do throws(LinkError) {
            return try unsafe dump(to: "list routes") { socket in
                // Only for this request: libnl's own ones are not strict.
                unsafe Self.setStrict(true, of: socket)
                defer { unsafe Self.setStrict(false, of: socket) }
                return unsafe nl_send_auto(socket, message.pointer)
            }
        } catch .refused(_, ENOENT), .refused(_, EAFNOSUPPORT), .refused(_, ENODEV) {
            return []  // No such table yet, no such family, or no such device any more.
        }
    }

    private static func setStrict(_ isOn: Bool, of socket: OpaquePointer) {
        var value: Int32 = isOn ? 1 : 0
        // SAFETY: the kernel reads the value, whose size stands beside it, before the call returns.
        _ = unsafe setsockopt(
            nl_socket_get_fd(socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
