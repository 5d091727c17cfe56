// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// A stream socket in the file system.
struct UnixSocket: ~Copyable, Sendable {
    let descriptor: FileDescriptor

    private static func make() throws(TransportError) -> FileDescriptor {
        FileDescriptor(
            owning: try SystemCall.retrying("open a socket") {
                socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            })
    }

    /// Calls `body` with the address of a path, which must be shorter than the kernel's 108 bytes.
    private static func withAddress(
        of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            errno = ENAMETOOLONG
            return -1
        }
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        // Safe: every socket address begins with the same field, and the length says which it is.
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// Connects; nil when nobody listens there.
    static func connect(to path: String) -> UnixSocket? {
        guard let descriptor = try? make() else { return nil }
        let code = unsafe withAddress(of: path) { unsafe Glibc.connect(descriptor.raw, $0, $1) }
        guard code == 0 else { return nil }
        return UnixSocket(descriptor: descriptor)
    }

    /// Listens at a path, for its owner alone. Whatever lies there is replaced.
    static func listen(at path: String) throws(TransportError) -> UnixSocket {
        let descriptor = try make()
        _ = unsafe unlink(path)
        // Nobody else can connect between the two calls either: the mask takes all rights away.
        let mask = umask(0o177)
        defer { umask(mask) }
        try SystemCall.retrying("bind \(path)") {
            unsafe withAddress(of: path) { unsafe bind(descriptor.raw, $0, $1) }
        }
        try SystemCall.retrying("listen at \(path)") { Glibc.listen(descriptor.raw, 8) }
        return UnixSocket(descriptor: descriptor)
    }

    /// The next connection.
    func accept() -> FileDescriptor? {
        let raw = weft_accept(descriptor.raw)
        return raw >= 0 ? FileDescriptor(owning: raw) : nil
    }

    /// Reads up to `limit` bytes, until the other end closes.
    func read(limit: Int) -> [UInt8] {
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while result.count < limit {
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor.raw, $0.baseAddress, min($0.count, limit - result.count))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            result += chunk[..<count]
        }
        return result
    }
}
