// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// One way to reach a prefix.
public struct Nexthop: Hashable, Sendable {
    /// The other end's underlay address. May be missing where the device knows it.
    public var remote: IPAddress?
    /// Our own underlay address, of the same family. Geneve without a device needs it; elsewhere the kernel picks one,
    /// and the inner source MAC address is derived from zeros.
    public var local: IPAddress?
    /// 0...0xFFFFFF.
    public var vni: UInt32
    /// The device to redirect to; for Geneve without a device the underlay's interface.
    public var interface: String
    public var `protocol`: NexthopProtocol
    /// Its share beside the other nexthops: 1...65535.
    public var weight: Int
    /// Who is at the other end: nexthops of one name share their health. 1 to 63 bytes.
    public var peer: String
    /// Whether the tunnel key is set; as the protocol's devices want it unless said otherwise.
    public var setsKey: Bool

    public init(
        remote: IPAddress?, local: IPAddress? = nil, vni: UInt32 = 0, interface: String, protocol: NexthopProtocol,
        weight: Int = 1, peer: String, setsKey: Bool? = nil
    ) {
        self.remote = remote
        self.local = local
        self.vni = vni
        self.interface = interface
        self.protocol = `protocol`
        self.weight = weight
        self.peer = peer
        self.setsKey = setsKey ?? `protocol`.takesKey
    }

    /// Whether the underlay is IPv6.
    public var isUnderlayV6: Bool { (remote ?? local)?.family == .v6 }

    /// The most nexthops that an entry can have.
    public static let maximumCount = Int(WEFT_MEMBERS)

    /// What is wrong with it, or nil.
    var flaw: String? {
        if remote == nil, setsKey || `protocol` == .geneveDirect {
            return "a nexthop by \(`protocol`.rawValue) needs a remote address"
        }
        if let remote, remote.isUnspecified { return "\(remote) is no nexthop's address" }
        if let local, let remote, local.family != remote.family {
            return "local address \(local) and remote address \(remote) are of different families"
        }
        if `protocol` == .geneveDirect, local == nil {
            return "a nexthop by geneve-direct needs a local address, which becomes the outer source"
        }
        if vni > 0xFF_FFFF { return "VNI \(vni): expected 0 to 16777215" }
        if !(1...65535).contains(weight) { return "weight \(weight): expected 1 to 65535" }
        if !(1...63).contains(peer.utf8.count) || peer.utf8.contains(0) { return "a peer's name has 1 to 63 bytes" }
        if !(1...15).contains(interface.utf8.count) { return "an interface's name has 1 to 15 bytes" }
        return nil
    }
}

extension MACAddress {
    /// The MAC address that goes with an IP address: 02, its last four bytes, FF.
    public init(derivedFrom address: IPAddress) {
        let last = address.family == .v4 ? UInt64(address.v4Bits) : address.low & 0xFFFF_FFFF
        self.init(bits: 0x02 << 40 | last << 8 | 0xFF)
    }
}
