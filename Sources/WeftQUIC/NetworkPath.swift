// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Glibc
import Weft

/// A path as ngtcp2 wants it: two socket addresses at a place that doesn't move.
///
/// Our own address is always the unspecified one: the kernel picks it for each datagram, and the peer validates what it
/// sees. ngtcp2 aborts on addresses of a family that it doesn't know, so that only endpoints become paths.
@safe
final class NetworkPath {
    private let storage: UnsafeMutablePointer<ngtcp2_path_storage>

    init() {
        unsafe storage = .allocate(capacity: 1)
        unsafe storage.initialize(to: ngtcp2_path_storage())
        unsafe ngtcp2_path_storage_zero(storage)
    }

    convenience init(to endpoint: Endpoint) {
        self.init()
        set(to: endpoint)
    }

    deinit { unsafe storage.deallocate() }

    /// Valid as long as the path lives.
    @unsafe
    var pointer: UnsafeMutablePointer<ngtcp2_path> {
        // Safe: the path is the storage's first member.
        unsafe UnsafeMutableRawPointer(storage).assumingMemoryBound(to: ngtcp2_path.self)
    }

    func set(to endpoint: Endpoint) {
        switch endpoint.address.family {
        case .v4:
            var local = sockaddr_in()
            local.sin_family = sa_family_t(AF_INET)
            var remote = local
            remote.sin_port = endpoint.port.bigEndian
            remote.sin_addr.s_addr = endpoint.address.v4Bits.bigEndian
            fill(&local, &remote)
        case .v6:
            var local = sockaddr_in6()
            local.sin6_family = sa_family_t(AF_INET6)
            var remote = local
            remote.sin6_port = endpoint.port.bigEndian
            unsafe withUnsafeMutableBytes(of: &remote.sin6_addr) { bytes in
                unsafe bytes.storeBytes(of: endpoint.address.high.bigEndian, as: UInt64.self)
                unsafe bytes.storeBytes(of: endpoint.address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            fill(&local, &remote)
        }
    }

    private func fill<Address>(_ local: inout Address, _ remote: inout Address) {
        let length = socklen_t(MemoryLayout<Address>.size)
        // Safe: ngtcp2 copies `length` bytes of each into its storage, which has room for either family.
        unsafe withUnsafeMutablePointer(to: &local) { local in
            unsafe withUnsafeMutablePointer(to: &remote) { remote in
                unsafe ngtcp2_path_storage_init(
                    storage, UnsafeMutableRawPointer(local).assumingMemoryBound(to: sockaddr.self), length,
                    UnsafeMutableRawPointer(remote).assumingMemoryBound(to: sockaddr.self), length, nil)
            }
        }
    }

    /// Makes room for ngtcp2 to write a path into.
    func clear() { unsafe ngtcp2_path_storage_zero(storage) }

    /// The far end; nil where ngtcp2 wrote none.
    var remote: Endpoint? { unsafe Self.endpoint(of: pointer.pointee.remote) }

    /// Reads an address that ngtcp2 lends.
    @unsafe
    static func endpoint(of address: ngtcp2_addr) -> Endpoint? {
        guard let start = unsafe address.addr else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: Int(address.addrlen))
        // Safe: each load lies within what the length says is there, and any bits are an address.
        if bytes.count >= MemoryLayout<sockaddr_in6>.size, unsafe start.pointee.sa_family == sa_family_t(AF_INET6) {
            let value = unsafe bytes.loadUnaligned(as: sockaddr_in6.self)
            let (high, low) = unsafe withUnsafeBytes(of: value.sin6_addr) {
                unsafe ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            return Endpoint(
                IPAddress(v6: UInt64(bigEndian: high), UInt64(bigEndian: low)), port: UInt16(bigEndian: value.sin6_port)
            )
        }
        guard bytes.count >= MemoryLayout<sockaddr_in>.size, unsafe start.pointee.sa_family == sa_family_t(AF_INET)
        else { return nil }
        let value = unsafe bytes.loadUnaligned(as: sockaddr_in.self)
        return Endpoint(
            IPAddress(v4: UInt32(bigEndian: value.sin_addr.s_addr)), port: UInt16(bigEndian: value.sin_port))
    }
}
