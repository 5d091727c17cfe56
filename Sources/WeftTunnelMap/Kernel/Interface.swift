// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// What the loader has to know of an interface, in the calling thread's network namespace.
struct Interface {
    let name: String
    let index: UInt32
    /// Six bytes, or nil where packets have no Ethernet header.
    let mac: [UInt8]?

    init(_ name: String) throws(TunnelMapError) {
        let index = unsafe if_nametoindex(name)
        guard index != 0 else { throw .noInterface(name) }
        self.name = name
        self.index = index
        var bytes = [UInt8](repeating: 0, count: 6)
        // SAFETY: it writes six bytes when it succeeds.
        let status = unsafe bytes.withUnsafeMutableBufferPointer { unsafe weft_ethernet_address(name, $0.baseAddress) }
        mac = status == 0 ? bytes : nil
    }

    /// An interface's name; nil when it is gone.
    static func name(of index: UInt32) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        // SAFETY: it writes at most IF_NAMESIZE bytes, with a NUL.
        return unsafe buffer.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, let name = unsafe if_indextoname(index, base) else { return nil }
            return unsafe String(cString: name)
        }
    }
}
