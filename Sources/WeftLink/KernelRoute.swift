// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

/// One entry of a kernel routing table.
public struct KernelRoute: Hashable, Sendable {
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
    /// The kernel's, for the host's own addresses.
    public static let local: UInt32 = 255
    /// The kernel's own: 0 (unspecified), 253 (default), 254 (main) and 255 (local).
    static let reserved: Set<UInt32> = [0, 253, main, local]

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

extension KernelRoute {
    /// Reads an RTM_NEWROUTE message with its header; nil for what is not an IPv4 or IPv6 route in a table.
    ///
    /// libnl's own parser reads past the end of a damaged message.
    init?(message: [UInt8]) {
        guard let (header, attributes) = NetlinkAttributes.read(message, behind: rtmsg.self) else { return nil }
        let any: IPAddress
        switch Int32(header.rtm_family) {
        case AF_INET: any = IPAddress(v4: 0)
        case AF_INET6: any = IPAddress(v6: 0, 0)
        default: return nil
        }
        // A default route has no destination.
        let destination =
            attributes.bytes(Int(RTA_DST.rawValue)) == nil ? any : attributes.address(Int(RTA_DST.rawValue))
        guard header.rtm_flags & UInt32(RTM_F_CLONED) == 0, let destination, destination.family == any.family,
            let prefix = Prefix(destination, length: Int(header.rtm_dst_len))
        else { return nil }
        self.prefix = prefix
        table = attributes.uint32(Int(RTA_TABLE.rawValue)) ?? UInt32(header.rtm_table)
        kind = Kind(header.rtm_type)
        owner = RouteProtocol(rawValue: header.rtm_protocol)
        metric = attributes.uint32(Int(RTA_PRIORITY.rawValue)) ?? 0
        let metrics = attributes.bytes(Int(RTA_METRICS.rawValue)).map { NetlinkAttributes(Array($0), from: 0) }
        mtu = metrics?.uint32(Int(RTAX_MTU)).map { Int($0) }
        let single = Nexthop(device: attributes.uint32(Int(RTA_OIF.rawValue)), attributes)
        nexthops =
            attributes.bytes(Int(RTA_MULTIPATH.rawValue)).map(Self.nexthops)
            ?? (single.device == 0 && single.gateway == nil ? [] : [single])
    }

    /// Reads a multipath route's nexthops, each with a header (struct rtnexthop), up to the first that does not fit.
    private static func nexthops(_ bytes: ArraySlice<UInt8>) -> [Nexthop] {
        let headerSize = MemoryLayout<rtnexthop>.size
        var nexthops: [Nexthop] = []
        var rest = bytes
        while rest.count >= headerSize {
            let length = Int(NetlinkAttributes.integer(rest.prefix(2)))
            guard (headerSize...rest.count).contains(length) else { break }
            let attributes = NetlinkAttributes(Array(rest.prefix(length)), from: headerSize)
            nexthops.append(
                Nexthop(device: NetlinkAttributes.integer(rest.dropFirst(4).prefix(4)), attributes))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return nexthops
    }
}

extension KernelRoute.Nexthop {
    fileprivate init(device: UInt32?, _ attributes: NetlinkAttributes) {
        self.device = Int32(bitPattern: device ?? 0)
        gateway = attributes.address(Int(RTA_GATEWAY.rawValue)) ?? attributes.via(Int(RTA_VIA.rawValue))
    }
}

extension KernelRoute.Kind: CustomStringConvertible {
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
