// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// Tells whoever waits that the tunnel is up.
package enum Ready {
    /// The descriptor on which `--detach` waits for its child.
    package static let descriptor: Int32 = 3
    package static let variable = "WEFT_READY"

    package static func tell() {
        if unsafe getenv(variable) != nil {
            Console.write("up\n", to: descriptor)
            close(descriptor)
            // Whoever reads the caller's standard error waits until all who hold it are gone.
            Log.goOnInSystemLog()
        }
        notifyServiceManager()
    }

    /// sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names; `@` stands for the abstract name space.
    private static func notifyServiceManager() {
        guard let path = unsafe getenv("NOTIFY_SOCKET").map({ unsafe Array(String(cString: $0).utf8) }),
            path.count > 1
        else { return }
        var address = sockaddr_un()
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        address.sun_family = sa_family_t(AF_UNIX)
        let name = path[0] == UInt8(ascii: "@") ? [0] + path[1...] : path
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: name) }
        let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { return }
        defer { close(raw) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let message = Array("READY=1".utf8)
        // Safe: every socket address begins with the same field, and the length says how much of it counts.
        unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe sendto(raw, message, message.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }
}
