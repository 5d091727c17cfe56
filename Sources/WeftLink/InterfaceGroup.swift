// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc

/// The kernel's groups of interfaces, by which rules know where they must not lead.
public enum InterfaceGroup {
    /// Tunnels' interfaces: the letters "we".
    public static let tunnels: UInt32 = 0x7765
}

extension Netlink {
    /// The indices of tunnels' interfaces.
    public mutating func tunnelInterfaces() throws(LinkError) -> Set<Int32> {
        let messages = try dump(Int32(RTM_GETLINK), family: AF_UNSPEC, to: "list interfaces")
        return Set(
            messages.compactMap { message -> Int32? in
                guard let (header, attributes) = NetlinkAttributes.read(message, behind: ifinfomsg.self),
                    attributes.uint32(Int(IFLA_GROUP)) == InterfaceGroup.tunnels
                else { return nil }
                return header.ifi_index
            })
    }

    /// Puts an interface among tunnels' ones.
    mutating func joinTunnels(_ index: Int32) throws(LinkError) {
        let message = try changeMessage(for: index)
        guard unsafe nla_put_u32(message.pointer, Int32(IFLA_GROUP), InterfaceGroup.tunnels) >= 0 else {
            throw .outOfMemory
        }
        try send(message, to: "put interface \(index) into the group of tunnels")
    }
}
