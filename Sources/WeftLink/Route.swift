// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

/// One entry of a kernel routing table.
public struct Route: Hashable, Sendable {
    /// One way that a route leads.
    public struct Nexthop: Hashable, Sendable {
        /// The interface's index; 0 when the route names none.
        public let device: Int32
        /// The router to hand packets to; nil for a route into the device itself.
        public let gateway: IPAddress?
    }

    /// What becomes of a packet that the route matches.
    public enum Kind: Hashable, Sendable {
        case unicast, local, blackhole, unreachable, prohibit
        /// Any other kind of rtnetlink(7), by its number.
        case other(UInt8)
    }

    public let prefix: Prefix
    /// The number of its table: 254 is main.
    public let table: UInt32
    public let kind: Kind
    /// Several for a multipath route, none for one that goes nowhere.
    public let nexthops: [Nexthop]
    public let owner: RouteProtocol
    /// The kernel's priority, of which the lowest wins.
    public let metric: UInt32
    /// The path MTU that the route sets, in bytes; nil when it sets none.
    public let mtu: Int?

    /// Whether the route leads into this device, with nothing else and no router on the way.
    public func leadsOnly(into device: Int32) -> Bool {
        kind == .unicast && nexthops == [Nexthop(device: device, gateway: nil)]
    }
}

/// Who put a route into a table: the number that rtnetlink(7) calls the route's protocol.
public struct RouteProtocol: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Weft's own number, on its routes and rules alike, by which it finds what it may remove.
    public static let weft = RouteProtocol(rawValue: 119)
    /// What the kernel adds by itself, such as the connected route of an address.
    public static let kernel = RouteProtocol(rawValue: UInt8(RTPROT_KERNEL))

    /// The name in iproute2's rt_protos, or the number.
    public var description: String {
        switch rawValue {
        case Self.weft.rawValue: "weft"
        case 1: "redirect"
        case 2: "kernel"
        case 3: "boot"
        case 4: "static"
        case 9: "ra"
        case 11: "zebra"
        case 12: "bird"
        case 16: "dhcp"
        case 18: "keepalived"
        case 186: "bgp"
        case 187: "isis"
        case 188: "ospf"
        case 189: "rip"
        case 192: "eigrp"
        default: "\(rawValue)"
        }
    }
}

/// Names of the kernel's routing tables.
public enum RouteTable {
    public static let main: UInt32 = 254
    /// The kernel's own: 0 (unspecified), 253 (default), 254 (main) and 255 (local).
    static let reserved: Set<UInt32> = [0, 253, main, 255]

    /// The name that `ip route` prints.
    static func name(of table: UInt32) -> String {
        switch table {
        case 253: "default"
        case main: "main"
        case 255: "local"
        default: "\(table)"
        }
    }
}

extension Route {
    /// Reads an RTM_NEWROUTE message with its header; nil for what is not an IPv4 or IPv6 route in a table.
    init?(message: [UInt8]) {
        var message = message
        var parsed: OpaquePointer?
        // SAFETY: `message` is a whole netlink message whose length libnl checked when it came; the parser copies.
        let status = unsafe message.withUnsafeMutableBytes { bytes in
            unsafe rtnl_route_parse(bytes.baseAddress?.assumingMemoryBound(to: nlmsghdr.self), &parsed)
        }
        // libnl does not know every encapsulation. Passing such a route over is safe: where it matters, the kernel
        // refuses to add a second one.
        guard status >= 0, let route = try? unsafe NetlinkObject(parsed, release: rtnl_route_put),
            unsafe rtnl_route_get_flags(route.pointer) & UInt32(RTM_F_CLONED) == 0,
            let prefix = unsafe ipPrefix(of: rtnl_route_get_dst(route.pointer))
        else { return nil }
        self.prefix = prefix
        table = unsafe rtnl_route_get_table(route.pointer)
        kind = Kind(unsafe rtnl_route_get_type(route.pointer))
        owner = RouteProtocol(rawValue: unsafe rtnl_route_get_protocol(route.pointer))
        metric = unsafe rtnl_route_get_priority(route.pointer)
        var mtu: UInt32 = 0
        self.mtu = unsafe rtnl_route_get_metric(route.pointer, Int32(RTAX_MTU), &mtu) == 0 ? Int(mtu) : nil
        nexthops = unsafe (0..<rtnl_route_get_nnexthops(route.pointer)).map { index in
            // SAFETY: the route owns its nexthops and their addresses, and lives until the end of this initialiser.
            let nexthop = unsafe rtnl_route_nexthop_n(route.pointer, index)
            let gateway = unsafe rtnl_route_nh_get_gateway(nexthop) ?? rtnl_route_nh_get_via(nexthop)
            return unsafe Nexthop(
                device: rtnl_route_nh_get_ifindex(nexthop), gateway: ipAddress(of: gateway))
        }
    }
}

extension Route.Kind: CustomStringConvertible {
    init(_ number: UInt8) {
        self =
            switch Int(number) {
            case Int(RTN_UNICAST): .unicast
            case Int(RTN_LOCAL): .local
            case Int(RTN_BLACKHOLE): .blackhole
            case Int(RTN_UNREACHABLE): .unreachable
            case Int(RTN_PROHIBIT): .prohibit
            default: .other(number)
            }
    }

    /// The word that `ip route` uses.
    public var description: String {
        switch self {
        case .unicast: "unicast"
        case .local: "local"
        case .blackhole: "blackhole"
        case .unreachable: "unreachable"
        case .prohibit: "prohibit"
        case .other(let number): "type \(number)"
        }
    }
}
