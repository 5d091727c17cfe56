// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// A STUN server as people name it: `HOST`, `HOST:PORT`, an IPv4 address, or an IPv6 address in brackets.
public struct STUNServerName: Hashable, Sendable, CustomStringConvertible {
    /// The port of RFC 8489 section 18.7.
    public static let defaultPort: UInt16 = 3478

    /// A name or an address, without brackets.
    public let host: String
    public let port: UInt16

    /// Nil for what can't be a host or a port.
    public init?(_ text: some StringProtocol) {
        var host = String(text)
        var port = Self.defaultPort
        let isLiteral = host.hasPrefix("[")
        if let colon = host.lastIndex(of: ":"), !isLiteral || !host.hasSuffix("]") {
            let digits = host[host.index(after: colon)...]
            guard let number = UInt16(digits), number > 0, String(number) == digits else { return nil }
            port = number
            host = String(host[..<colon])
        }
        if isLiteral {
            guard host.hasSuffix("]"), let address = IPAddress(host.dropFirst().dropLast()), address.family == .v6
            else { return nil }
            host = address.description
        } else {
            let isName = host.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
            guard isName, (1...253).contains(host.utf8.count), !host.hasPrefix("-"), !host.hasPrefix(".") else {
                return nil
            }
        }
        self.host = host
        self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether it is a name, and no address.
    var needsResolver: Bool { IPAddress(host) == nil }

    /// Its endpoints, at most one of each family, as the system's resolver knows them; none when it knows none. A name
    /// can take the resolver seconds.
    public func resolve() -> [Endpoint] {
        if let address = IPAddress(host) { return [Endpoint(address, port: port)] }
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var found: [IPAddress.Family: Endpoint] = [:]
        var order: [IPAddress.Family] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe Self.address(of: entry.pointee), found[address.family] == nil {
                found[address.family] = Endpoint(address, port: port)
                order.append(address.family)
            }
            unsafe next = entry.pointee.ai_next
        }
        return order.compactMap { found[$0] }
    }

    private static func address(of entry: addrinfo) -> IPAddress? {
        // Safe: the resolver says how long the address is, and it lives until the list is freed.
        guard let raw = unsafe entry.ai_addr else { return nil }
        let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(raw), byteCount: Int(entry.ai_addrlen))
        func word(_ offset: Int) -> UInt64 {
            unsafe UInt64(UInt32(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)))
        }
        switch unsafe entry.ai_family {
        case AF_INET where bytes.byteCount >= MemoryLayout<sockaddr_in>.size:
            return IPAddress(v4: UInt32(truncatingIfNeeded: word(4)))
        case AF_INET6 where bytes.byteCount >= MemoryLayout<sockaddr_in6>.size:
            return IPAddress(v6: word(8) << 32 | word(12), word(16) << 32 | word(20))
        default: return nil
        }
    }
}
