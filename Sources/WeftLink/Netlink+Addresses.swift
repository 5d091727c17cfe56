// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

extension Netlink {
    /// Makes the interface have this address with this prefix length; the same address with another length goes.
    ///
    /// An IPv6 address skips duplicate address detection (RFC 4862), for which a tunnel has no neighbours, and so is
    /// usable at once.
    /// - Parameter makesRoute: whether the kernel routes the address's prefix into the interface by itself.
    public mutating func replaceAddress(
        _ address: InterfaceAddress, on index: Int32, makesRoute: Bool = true
    ) throws(LinkError) {
        // The kernel would keep an IPv6 address's old length, and give IPv4 both.
        for old in try addresses(of: index) where old.address == address.address && old.length != address.length {
            try removeAddress(old, on: index)
        }
        let object = try addressObject(address, on: index)
        if !makesRoute { unsafe rtnl_addr_set_flags(object.pointer, UInt32(IFA_F_NOPREFIXROUTE)) }
        let message = try unsafe request { message in
            unsafe rtnl_addr_build_add_request(object.pointer, NLM_F_CREATE | NLM_F_REPLACE, &message)
        }
        try send(message, to: "add address \(address) to interface \(index)")
    }

    /// Takes the address from the interface; one that isn't there is fine.
    public mutating func removeAddress(_ address: InterfaceAddress, on index: Int32) throws(LinkError) {
        let object = try addressObject(address, on: index)
        let message = try unsafe request { message in
            unsafe rtnl_addr_build_delete_request(object.pointer, 0, &message)
        }
        do {
            try send(message, to: "remove address \(address) from interface \(index)")
        } catch .refused(_, EADDRNOTAVAIL) {
            return
        }
    }

    /// The interface's addresses of both families, IPv4 first.
    public mutating func addresses(of index: Int32) throws(LinkError) -> [InterfaceAddress] {
        var list: OpaquePointer?
        try unsafe call(to: "list addresses") { socket in unsafe rtnl_addr_alloc_cache(socket, &list) }
        let cache = try unsafe NetlinkObject(list, release: nl_cache_free)
        var result: [InterfaceAddress] = []
        // SAFETY: the cache owns its objects and lives until the end of this function.
        var next = unsafe nl_cache_get_first(cache.pointer)
        while let object = unsafe next {
            if unsafe rtnl_addr_get_ifindex(object) == index,
                let local = unsafe rtnl_addr_get_local(object), let address = unsafe ipAddress(of: local)
            {
                // With a point-to-point peer the prefix length is the peer's; libnl has both cases behind this call.
                let length = unsafe rtnl_addr_get_prefixlen(object)
                if let parsed = InterfaceAddress("\(address)/\(length)") { result.append(parsed) }
            }
            unsafe next = unsafe nl_cache_get_next(object)
        }
        return result.sorted { ($0.address, $0.length) < ($1.address, $1.length) }
    }

    private func addressObject(_ address: InterfaceAddress, on index: Int32) throws(LinkError) -> NetlinkObject {
        let local = try NetlinkObject(address.address, length: address.length)
        let object = try unsafe NetlinkObject(rtnl_addr_alloc(), release: rtnl_addr_put)
        unsafe rtnl_addr_set_ifindex(object.pointer, index)
        // SAFETY: the object takes a reference of its own to `local`.
        guard unsafe rtnl_addr_set_local(object.pointer, local.pointer) >= 0 else { throw .outOfMemory }
        if address.address.family == .v6 {
            unsafe rtnl_addr_set_flags(object.pointer, UInt32(IFA_F_NODAD))
        }
        return object
    }
}
