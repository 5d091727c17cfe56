// SPDX-License-Identifier: Apache-2.0
import Weft

/// What resolv.conf(5) says, as far as it is for us. What can't be understood is passed over, as the C library does.
public struct ResolverFile: Hashable, Sendable {
    /// A resolver, with the interface's name where its address needs one.
    public struct Server: Hashable, Sendable {
        public let address: IPAddress
        public let zone: String?

        public init(_ address: IPAddress, zone: String? = nil) {
            self.address = address
            self.zone = zone
        }
    }

    public private(set) var servers: [Server] = []
    public private(set) var search: [String] = []
    public private(set) var dots: UInt8 = 1

    /// Bytes that are read of a file.
    public static let longest = 65_536

    public init() {}

    /// Reads a file's bytes, whatever they are.
    public init(_ bytes: some Collection<UInt8>) {
        let isEnd: (UInt8) -> Bool = { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
        for line in bytes.prefix(Self.longest).split(whereSeparator: isEnd) {
            // A keyword begins its line, and a comment may follow on a line of its own only.
            guard let first = line.first, first != UInt8(ascii: "#"), first != UInt8(ascii: ";"), !first.isBlank else {
                continue
            }
            let words = line.split(whereSeparator: \.isBlank).map { String(decoding: $0, as: UTF8.self) }
            read(words[0], words.dropFirst())
        }
    }

    private mutating func read(_ keyword: String, _ values: ArraySlice<String>) {
        switch keyword {
        case "nameserver":
            guard let value = values.first, servers.count < ResolverSettings.mostResolvers else { return }
            if let server = Self.server(value), !servers.contains(server) { servers.append(server) }
        // Of several lines the last one counts.
        case "domain": search = values.prefix(1).filter(Self.isDomain).map(Self.domain)
        case "search":
            search = Array(values.filter(Self.isDomain).map(Self.domain).prefix(ResolverSettings.mostDomains))
        case "options":
            for value in values where value.hasPrefix("ndots:") {
                if let number = UInt8(value.dropFirst("ndots:".count)) { dots = min(number, 15) }
            }
        default: break
        }
    }

    private static func server(_ text: String) -> Server? {
        let parts = text.split(separator: "%", maxSplits: 1)
        guard let first = parts.first, let address = IPAddress(first), !address.isUnspecified else { return nil }
        let zone = parts.count > 1 ? String(parts[1]) : nil
        if let zone, !(1...15).contains(zone.utf8.count) { return nil }
        return Server(address, zone: zone)
    }

    private static func domain(_ text: String) -> String { HostName.normal(text) }

    /// Whether it can be put behind a name: "." stands for nothing.
    private static func isDomain(_ text: String) -> Bool {
        text != "." && text.utf8.count <= HostName.longest && text.utf8.allSatisfy { 0x21...0x7E ~= $0 }
    }
}

extension UInt8 {
    /// What words are parted by in such files.
    var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }
}
