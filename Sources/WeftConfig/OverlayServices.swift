// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a tunnel in a private network does for those outside of it.
public struct OverlayServices: Hashable, Sendable {
    /// The overlay's resolvers: whom names of the overlay are asked of; at most 3.
    public var resolvers: [IPAddress] = []
    /// Where SOCKS5 is spoken; nil for nowhere.
    public var socks5: LocalPlace?
    /// Whom SOCKS5 serves; nil for whoever reaches it.
    public var socks5Login: SOCKS5Login?
    /// What of this host leads into the overlay.
    public var forwards: [Forward] = []
    /// What of the overlay leads to this host.
    public var exposures: [Exposure] = []

    /// The most that a list of them holds.
    public static let mostRules = 64
    /// As many as the C library asks (MAXNS).
    public static let mostResolvers = 3

    public init() {}

    /// Whether somebody outside is served.
    public var isEmpty: Bool { socks5 == nil && forwards.isEmpty && exposures.isEmpty }

    /// A place on this host where something is offered.
    public enum LocalPlace: Hashable, Sendable, CustomStringConvertible {
        case address(Endpoint)
        /// A Unix socket, by its absolute path.
        case path(String)

        /// Parses `127.0.0.1:1080` or `/run/user/1000/socks`.
        init?(_ text: some StringProtocol) {
            if text.hasPrefix("/") {
                // The kernel's address has room for 107 bytes.
                guard text.utf8.count < 108, !text.hasSuffix("/") else { return nil }
                self = .path(String(text))
            } else {
                guard let endpoint = Endpoint(text) else { return nil }
                self = .address(endpoint)
            }
        }

        /// Whether nobody but this host's processes reaches it.
        var isOfThisHost: Bool { if case .address(let endpoint) = self { endpoint.address.isLoopback } else { true } }

        public var description: String {
            switch self {
            case .address(let endpoint): "\(endpoint)"
            case .path(let path): path
            }
        }
    }

    /// A user and his password (RFC 1929).
    public struct SOCKS5Login: Hashable, Sendable {
        /// 1...255 bytes.
        public let user: String
        /// 1...255 bytes.
        public let password: String

        /// Parses `USER:PASSWORD`.
        init?(_ text: String) {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts.allSatisfy({ (1...255).contains($0.utf8.count) }) else { return nil }
            (user, password) = (String(parts[0]), String(parts[1]))
        }
    }

    /// What a rule carries.
    public enum Transport: String, Hashable, Sendable {
        case tcp
        case udp

        /// What stands in front of a rule, and the rest.
        static func split(_ text: String) -> (Transport, Substring) {
            for transport in [Transport.tcp, .udp] where text.lowercased().hasPrefix("\(transport.rawValue)/") {
                return (transport, text.dropFirst(4))
            }
            return (.tcp, text[...])
        }
    }

    /// A place on the overlay.
    public enum OverlayPlace: Hashable, Sendable, CustomStringConvertible {
        case endpoint(Endpoint)
        case name(EndpointName)

        public var description: String {
            switch self {
            case .endpoint(let endpoint): "\(endpoint)"
            case .name(let name): "\(name)"
            }
        }
    }

    /// `[udp/]ADDRESS:PORT -> OVERLAY:PORT`.
    public struct Forward: Hashable, Sendable, CustomStringConvertible {
        public let transport: Transport
        public let from: LocalPlace
        public let to: OverlayPlace

        init?(_ text: String) {
            let (transport, rest) = Transport.split(text)
            guard let (left, right) = OverlayServices.ends(of: rest), let from = LocalPlace(left), from.isOfThisHost
            else { return nil }
            if transport == .udp, case .path = from { return nil }
            guard let to = Endpoint(right).map(OverlayPlace.endpoint) ?? EndpointName(right).map(OverlayPlace.name)
            else { return nil }
            (self.transport, self.from, self.to) = (transport, from, to)
        }

        public var description: String { "\(transport.rawValue)/\(from) -> \(to)" }
    }

    /// `[udp/]PORT -> ADDRESS:PORT`.
    public struct Exposure: Hashable, Sendable, CustomStringConvertible {
        public let transport: Transport
        /// On all of the overlay's own addresses.
        public let port: UInt16
        public let to: Endpoint

        init?(_ text: String) {
            let (transport, rest) = Transport.split(text)
            guard let (left, right) = OverlayServices.ends(of: rest), let to = Endpoint(right),
                let port = FileValues.number(left, in: 1...65535).flatMap({ UInt16(exactly: $0) })
            else { return nil }
            (self.transport, self.port, self.to) = (transport, port, to)
        }

        public var description: String { "\(transport.rawValue)/\(port) -> \(to)" }
    }

    /// What stands on both sides of an arrow.
    private static func ends(of text: Substring) -> (String, String)? {
        guard let arrow = text.firstRange(of: "->") else { return nil }
        return (text[..<arrow.lowerBound].trimmingBlanks, text[arrow.upperBound...].trimmingBlanks)
    }
}

/// What could be read of them.
struct OverlayServicesDraft {
    var resolvers: ItemList<IPAddress>?
    var socks5: OverlayServices.LocalPlace?
    var login: OverlayServices.SOCKS5Login?
    var forwards: ItemList<OverlayServices.Forward>?
    var exposures: ItemList<OverlayServices.Exposure>?

    var complete: OverlayServices {
        var services = OverlayServices()
        services.resolvers = resolvers?.items ?? []
        services.socks5 = socks5
        services.socks5Login = login
        services.forwards = forwards?.items ?? []
        services.exposures = exposures?.items ?? []
        return services
    }
}

extension TunnelFileParser {
    mutating func overlayServices(in entries: SectionEntries<InterfaceKey>) -> OverlayServicesDraft {
        var draft = OverlayServicesDraft()
        draft.resolvers = list(of: .dns, in: entries, identity: \.self, FileValues.resolver)
        draft.socks5 = value(of: .socks5, in: entries) { OverlayServices.LocalPlace($0) }
        draft.login = login(in: entries)
        draft.forwards = list(of: .forward, in: entries, identity: { "\($0.transport.rawValue)/\($0.from)" }) {
            OverlayServices.Forward($0)
        }
        draft.exposures = list(of: .expose, in: entries, identity: { "\($0.transport.rawValue)/\($0.port)" }) {
            OverlayServices.Exposure($0)
        }
        for (key, count, most) in [
            (InterfaceKey.dns, draft.resolvers?.items.count, OverlayServices.mostResolvers),
            (.forward, draft.forwards?.items.count, OverlayServices.mostRules),
            (.expose, draft.exposures?.items.count, OverlayServices.mostRules),
        ] {
            guard let count, count > most else { continue }
            diagnostics.add(
                line: entries.lines[key], "\(key.rawValue): expected at most \(most) of them, found \(count)")
        }
        if let place = draft.socks5, !place.isOfThisHost, entries[.socks5Login] == nil {
            diagnostics.add(
                line: entries.lines[.socks5],
                "SOCKS5: others than this host's processes reach \(place): expected SOCKS5Login too, or an address such as "
                    + "127.0.0.1:1080")
        }
        return draft
    }

    /// The text is never shown.
    private mutating func login(in entries: SectionEntries<InterfaceKey>) -> OverlayServices.SOCKS5Login? {
        guard let entry = entries[.socks5Login] else { return nil }
        if let login = OverlayServices.SOCKS5Login(text.string(entry.value)) { return login }
        diagnostics.add(
            line: entry.line,
            "SOCKS5Login: expected \(InterfaceKey.socks5Login.expected), found something else (not shown)")
        return nil
    }

    /// Where an interface is the host's own, the host needs none of them.
    mutating func checkOverlayServices(_ interface: InterfaceDraft) {
        guard let driver = interface.driver, driver == .tun || driver == .xdp else { return }
        for key in [InterfaceKey.dns, .socks5, .socks5Login, .forward, .expose]
        where interface.lines[key] != interface.lines.header {
            diagnostics.add(
                line: interface.lines[key],
                "\(key.rawValue): needs Driver = private (line \(interface.lines[.driver])): with \(driver.rawValue) the host itself "
                    + "reaches the overlay: leave one of them out")
        }
    }
}
