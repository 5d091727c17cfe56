// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The kernel's source validation for IPv4 (RFC 3704), which can drop what peers send to a tunnel with policy rules.
///
/// A strict filter looks up the way back to a datagram's sender, and finds the tunnel instead of the interface on which the
/// datagram came. With `src_valid_mark` the lookup goes by the datagram's mark, which somebody has to set as it comes in: a
/// datagram brings none. IPv6 has no such filter.
public enum ReversePathFilter {
    /// The interfaces on which the filter is strict, in alphabetical order.
    /// - Parameters:
    ///   - directory: where the kernel keeps IPv4's settings for each interface.
    ///   - tunnel: the tunnel's own interface, on which the filter does no harm.
    public static func strictInterfaces(
        in directory: String = "/proc/sys/net/ipv4/conf", except tunnel: String? = nil
    ) -> [String] {
        // The kernel takes the larger value of the interface and of "all".
        func setting(_ name: String, of interface: String) -> Int {
            max(integer(inFile: "\(directory)/all/\(name)"), integer(inFile: "\(directory)/\(interface)/\(name)"))
        }
        let exempt = [".", "..", "all", "default", "lo", tunnel]
        return entries(of: directory)
            .filter { !exempt.contains($0) }
            .filter { setting("rp_filter", of: $0) == 1 }
            .sorted()
    }

    /// What to tell the operator where IPv4 uses policy rules and nothing marks what comes in; nil when nothing is in the way.
    public static func warning(
        in directory: String = "/proc/sys/net/ipv4/conf", except tunnel: String? = nil
    ) -> String? {
        let interfaces = strictInterfaces(in: directory, except: tunnel)
        if interfaces.isEmpty { return nil }
        let settings = interfaces.map { "net.ipv4.conf.\($0.replacing(".", with: "/")).rp_filter" }
        return """
            strict reverse path filtering on \(interfaces.joined(separator: ", ")) drops what peers send, and without nftables \
            nothing can be done about it from here: set \(settings.joined(separator: " and ")) to 2
            """
    }

    /// The names in a directory; none when it can't be read.
    private static func entries(of directory: String) -> [String] {
        let close: NetlinkObject.Release = { stream in
            if let stream = unsafe stream { unsafe _ = closedir(stream) }
        }
        guard let stream = try? unsafe NetlinkObject(opendir(directory), release: close) else { return [] }
        var names: [String] = []
        // SAFETY: an entry is valid until the next readdir and its name is NUL-terminated; the name is copied at once.
        while let entry = unsafe readdir(stream.pointer) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }

    /// The decimal number in a file; 0 when there is none.
    private static func integer(inFile path: String) -> Int {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var digits = [UInt8](repeating: 0, count: 16)
        // SAFETY: `read` writes no more than the buffer's own count.
        let count = unsafe digits.withUnsafeMutableBytes { buffer in
            unsafe read(descriptor, buffer.baseAddress, buffer.count)
        }
        return digits.prefix(max(0, count)).prefix { (48...57).contains($0) }.reduce(0) { $0 * 10 + Int($1) - 48 }
    }
}
