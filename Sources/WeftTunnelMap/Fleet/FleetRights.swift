// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a fleet may ask of this host, as its own file says. Whoever can write to etcd could otherwise send packets out of any
/// interface, and in from any address.
public struct FleetRights: Hashable, Sendable {
    /// By which protocols its nexthops may be; those that `devices` names unless the file says otherwise.
    public var protocols: Set<NexthopProtocol>
    /// Which interfaces its nexthops may name; those of `devices` unless the file says otherwise.
    public var interfaces: Set<String>
    /// Whether the nexthops that it names may send us Geneve without a device; not unless the file says so.
    public var namesSenders: Bool
}
