// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// What this process' user namespace knows of users (user_namespaces(7)).
enum UserNamespace {
    /// The number by which the kernel shows users who have none here; nil where each has one, so that it is a user like others.
    static var unmappedUser: uid_t? {
        mapsAll(text("/proc/self/uid_map")) ? nil : uid_t(number(text("/proc/sys/kernel/overflowuid")) ?? 65534)
    }

    /// Whether a map, lines of three numbers, leaves none out. Where there is no map to read, there is no namespace either.
    static func mapsAll(_ map: String) -> Bool {
        let words = map.split { $0 == " " || $0 == "\n" || $0 == "\t" }
        return words.isEmpty || words == ["0", "0", "4294967295"]
    }

    private static func number(_ text: String) -> UInt32? { UInt32(text.prefix { $0 != "\n" }) }

    /// The begin of one of the kernel's short texts; nothing where it can't be read.
    private static func text(_ path: String) -> String {
        // The kernel only reads the path, which lives as long as the call.
        let raw = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { return "" }
        let file = FileDescriptor(owning: raw)
        var bytes = [UInt8](repeating: 0, count: 1024)
        // The kernel writes at most into the array.
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file.raw, $0.baseAddress, $0.count) }
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
