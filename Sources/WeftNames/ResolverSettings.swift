// SPDX-License-Identifier: Apache-2.0
import Weft

/// How names are looked up: whom to ask, and what to add to short names.
public struct ResolverSettings: Hashable, Sendable {
    /// At most so many resolvers are asked; the C library takes three.
    public static let mostResolvers = 8
    public static let mostDomains = 6
    /// The UDP port of resolvers.
    public static let port: UInt16 = 53

    /// In the order in which they are asked.
    public var resolvers: [IPAddress]
    /// Domains that are tried behind a name with less than ``dots`` dots, in order.
    public var search: [String]
    /// A name with so many dots is tried as it is first; 0...15.
    public var dots: UInt8
    /// Whether nothing but a resolver on this host is known: its own questions bear no mark, and may go into a tunnel.
    public var isLastResort: Bool
    /// The address families by which something can leave this host at all.
    public var ways: Set<IPAddress.Family>

    public init(
        resolvers: [IPAddress] = [], search: [String] = [], dots: UInt8 = 1, isLastResort: Bool = false,
        ways: Set<IPAddress.Family> = [.v4, .v6]
    ) {
        self.resolvers = resolvers
        self.search = search
        self.dots = dots
        self.isLastResort = isLastResort
        self.ways = ways
    }

    /// How a name is asked for, in order (resolv.conf(5), "search" and "ndots"). A final dot says that it is whole.
    public func spellings(of name: String) -> [String] {
        if name.hasSuffix(".") { return [String(name.dropLast())] }
        let longer = search.map { "\(name).\($0)" }.filter { $0.utf8.count <= HostName.longest }
        let isWhole = name.utf8.count { $0 == UInt8(ascii: ".") } >= Int(dots)
        return isWhole ? [name] + longer : longer + [name]
    }
}

/// What host names have in common.
public enum HostName {
    /// Bytes of the longest name (RFC 1035, section 2.3.4), without a final dot.
    public static let longest = 253

    /// The form in which names are compared: lower case, and without a final dot.
    public static func normal(_ name: some StringProtocol) -> String {
        let lowered = name.lowercased()
        return lowered.hasSuffix(".") ? String(lowered.dropLast()) : lowered
    }
}
