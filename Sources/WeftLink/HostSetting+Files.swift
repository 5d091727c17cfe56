// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

extension HostSetting {
    /// What the kernel has at a path below /proc/sys, of the calling thread's network; nil where there is no such setting.
    public static func value(at path: String) -> String? {
        let raw = unsafe open("/proc/sys/\(path)", O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { return nil }
        let file = FileDescriptor(owning: raw)
        var bytes = [UInt8](repeating: 0, count: 64)
        // SAFETY: `read` writes no more than the buffer's own count.
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file.raw, $0.baseAddress, $0.count) }
        guard count >= 0 else { return nil }
        return String(decoding: bytes.prefix(count).prefix { $0 > 32 }, as: UTF8.self)
    }

    /// Whether the kernel has this value.
    public var holds: Bool { Self.value(at: path) == value }

    /// Writes the value. It takes CAP_NET_ADMIN, and a /proc/sys that isn't mounted read-only.
    public func write() throws(LinkError) {
        let raw = unsafe open("/proc/sys/\(path)", O_WRONLY | O_CLOEXEC)
        guard raw >= 0 else { throw failure(errno) }
        let file = FileDescriptor(owning: raw)
        let bytes = Array(value.utf8)
        // SAFETY: `write` reads no more than the buffer's own count.
        let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(file.raw, $0.baseAddress, $0.count) }
        guard count == bytes.count else { throw failure(errno) }
    }

    private func failure(_ code: Int32) -> LinkError {
        .netlink(operation: "set \(name) to \(value)", reason: SystemCall.message(code))
    }
}
