// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc

extension Netlink {
    /// The index of the interface with this name, 1 or above.
    /// - Throws: `LinkError.noInterface`.
    public mutating func interfaceIndex(of name: String) throws(LinkError) -> Int32 {
        let link = try link(index: 0, name: name)
        return unsafe rtnl_link_get_ifindex(link.pointer)
    }

    /// The name of the interface with this index.
    /// - Throws: `LinkError.noInterface`.
    public mutating func interfaceName(of index: Int32) throws(LinkError) -> String {
        let link = try link(index: index, name: nil)
        // SAFETY: the name belongs to the link, which lives until the end of this call; the text is copied.
        return unsafe rtnl_link_get_name(link.pointer).map { name in unsafe String(cString: name) } ?? "\(index)"
    }

    /// The largest IP packet that the interface takes, in bytes.
    public mutating func mtu(of index: Int32) throws(LinkError) -> Int {
        let link = try link(index: index, name: nil)
        return Int(unsafe rtnl_link_get_mtu(link.pointer))
    }

    /// Whether the interface is administratively up.
    public mutating func isUp(_ index: Int32) throws(LinkError) -> Bool {
        let link = try link(index: index, name: nil)
        return unsafe rtnl_link_get_flags(link.pointer) & up != 0
    }

    /// Brings the interface up and sets its MTU in one step.
    /// - Parameter mtu: in bytes, within what the driver allows (IPv6 needs 1280); nil leaves it.
    public mutating func setUp(_ index: Int32, mtu: Int? = nil) throws(LinkError) {
        let unchanged = try unsafe NetlinkObject(rtnl_link_alloc(), release: rtnl_link_put)
        let changes = try unsafe NetlinkObject(rtnl_link_alloc(), release: rtnl_link_put)
        unsafe rtnl_link_set_ifindex(unchanged.pointer, index)
        unsafe rtnl_link_set_flags(changes.pointer, up)
        var operation = "bring up interface \(index)"
        if let mtu {
            operation += " with MTU \(mtu)"
            guard let value = UInt32(exactly: mtu) else {
                throw .netlink(operation: operation, reason: "the MTU is out of range")
            }
            unsafe rtnl_link_set_mtu(changes.pointer, value)
        }
        let message = try unsafe request { message in
            unsafe rtnl_link_build_change_request(unchanged.pointer, changes.pointer, 0, &message)
        }
        try send(message, to: operation)
    }

    /// Bounds the superpackets that the kernel makes for the interface.
    /// - Parameters:
    ///   - segments: at most so many segments each.
    ///   - bytes: at most so many bytes each, headers included.
    public mutating func limitSuperpackets(_ index: Int32, segments: UInt32, bytes: UInt32) throws(LinkError) {
        // libnl 3.7's link objects don't know these attributes.
        let message = try changeMessage(for: index)
        guard unsafe nla_put_u32(message.pointer, Int32(IFLA_GSO_MAX_SEGS), segments) >= 0,
            unsafe nla_put_u32(message.pointer, Int32(IFLA_GSO_MAX_SIZE), bytes) >= 0
        else { throw .outOfMemory }
        try send(message, to: "bound superpackets of interface \(index)")
    }

    /// Lets the interface come up without an IPv6 link-local address, and so without the kernel's own router
    /// solicitations from it. To be called while it is down.
    public mutating func makeNoLinkLocalAddress(_ index: Int32) throws(LinkError) {
        let message = try changeMessage(for: index)
        guard let families = unsafe nla_nest_start(message.pointer, Int32(IFLA_AF_SPEC)),
            let v6 = unsafe nla_nest_start(message.pointer, AF_INET6),
            unsafe nla_put_u8(
                message.pointer, Int32(IFLA_INET6_ADDR_GEN_MODE), UInt8(IN6_ADDR_GEN_MODE_NONE.rawValue)) >= 0
        else { throw .outOfMemory }
        unsafe nla_nest_end(message.pointer, v6)
        unsafe nla_nest_end(message.pointer, families)
        try send(message, to: "go without a link-local address on interface \(index)")
    }

    /// A message that changes a link, to which attributes are put.
    func changeMessage(for index: Int32) throws(LinkError) -> NetlinkObject {
        let message = try unsafe NetlinkObject(nlmsg_alloc_simple(Int32(RTM_NEWLINK), 0), release: nlmsg_free)
        var header = ifinfomsg()
        header.ifi_index = index
        // SAFETY: libnl copies the header's bytes, whose count stands beside it, before the call returns.
        guard unsafe nlmsg_append(message.pointer, &header, MemoryLayout<ifinfomsg>.size, Int32(NLMSG_ALIGNTO)) >= 0
        else { throw .outOfMemory }
        return message
    }

    /// Asks the kernel for a link by its name, with index 0, or by its index alone.
    mutating func link(index: Int32, name: String?) throws(LinkError) -> NetlinkObject {
        let wanted = name ?? "\(index)"
        // For these the kernel would say that the request is malformed, and libnl that a value is out of range.
        let isPossible = name.map { (1..<Int(IF_NAMESIZE)).contains($0.utf8.count) } ?? (index > 0)
        guard isPossible else { throw .noInterface(wanted) }
        var result: OpaquePointer?
        do {
            try unsafe call(to: "look up interface \(wanted)") { socket in
                unsafe rtnl_link_get_kernel(socket, index, name, &result)
            }
        } catch .refused(_, ENODEV) {
            throw .noInterface(wanted)
        }
        return try unsafe NetlinkObject(result, release: rtnl_link_put)
    }

    private var up: UInt32 { UInt32(IFF_UP) }
}
