// SPDX-License-Identifier: Apache-2.0
import Weft

/// What hosts(5) says of some names. A file may hold hundreds of thousands of others, which are passed over.
public enum HostsFile {
    /// Bytes that are read of a file.
    public static let longest = 32 << 20
    /// At most so many addresses of a name are taken.
    public static let mostAddresses = 16

    /// The addresses of names, in the file's order; a name that it doesn't have is left out.
    /// - Parameter names: in the form of ``HostName/normal(_:)``.
    public static func addresses(of names: Set<String>, in bytes: [UInt8]) -> [String: [IPAddress]] {
        var found: [String: [IPAddress]] = [:]
        guard !names.isEmpty else { return found }
        // Nearly all lines are of others: a text is made only of words as long as one of the names.
        let lengths = Set(names.flatMap { [$0.utf8.count, $0.utf8.count + 1] })
        for line in bytes.prefix(longest).split(separator: UInt8(ascii: "\n")) {
            let content = line.prefix { $0 != UInt8(ascii: "#") }
            let words = content.split { $0.isBlank || $0 == UInt8(ascii: "\r") }
            var address: IPAddress?
            for word in words.dropFirst() where lengths.contains(word.count) {
                let name = HostName.normal(String(decoding: word, as: UTF8.self))
                guard names.contains(name) else { continue }
                address = address ?? usable(String(decoding: words[0], as: UTF8.self))
                guard let address else { break }
                if found[name]?.contains(address) != true, found[name, default: []].count < mostAddresses {
                    found[name, default: []].append(address)
                }
            }
        }
        return found
    }

    /// An address that a peer can have; one that needs a zone can't be an endpoint.
    private static func usable(_ text: String) -> IPAddress? {
        guard let address = IPAddress(text), !address.isUnspecified, !address.isLinkLocal else { return nil }
        return address
    }
}
