// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftConfig
import WeftPrivate
import WeftProxy
import WeftSockets

/// Joins the host with a private network as the file says: SOCKS5, Forward and Expose.
final class ProxyService: NodeService {
    let name = "weft-proxy"
    private let reactor: SocketReactor
    /// Those that go at the end.
    private let paths: [String]

    /// Listens at all places, which takes the rights of the start.
    init(
        _ services: OverlayServices, addresses: [IPAddress], in namespace: PrivateNamespace
    ) throws(ServiceFailure) {
        Self.raiseDescriptorLimit()
        let reactor: SocketReactor
        do throws(TransportError) { reactor = try SocketReactor() } catch { throw ServiceFailure("\(error)") }
        let host = KernelNetwork(HostSockets(), addresses: [], resolvers: [], on: reactor)
        let overlay = KernelNetwork(namespace, addresses: addresses, resolvers: services.resolvers, on: reactor)
        let proxy = Proxy(host: host, overlay: overlay, on: reactor)
        var paths: [String] = []
        func listen(at place: OverlayServices.LocalPlace) throws(OverlaySocketError) -> any OverlayListener {
            switch place {
            case .address(let endpoint): return try host.listen(on: endpoint)
            case .path(let path):
                paths.append(path)
                return try host.listen(atPath: path)
            }
        }
        if let place = services.socks5 {
            let login = services.socks5Login.map { SOCKS5Login(user: $0.user, password: $0.password) }
            try Self.naming("SOCKS5 = \(place)") { () throws(OverlaySocketError) in
                proxy.serveSOCKS5(try listen(at: place), for: login)
            }
        }
        for rule in services.forwards {
            try Self.naming("Forward = \(rule)") { () throws(OverlaySocketError) in
                switch (rule.transport, rule.from) {
                case (.udp, .address(let endpoint)):
                    proxy.forward(try host.openDatagrams(on: endpoint), { Self.open(overlay, $0) }) {
                        await Self.endpoint(of: rule.to, on: overlay)
                    }
                default: proxy.forward(try listen(at: rule.from), to: Self.target(rule.to))
                }
            }
        }
        for rule in services.exposures {
            try Self.naming("Expose = \(rule)") { () throws(OverlaySocketError) in
                for family in Set(addresses.map(\.family)) {
                    let everywhere = Endpoint(Self.unspecified(family), port: rule.port)
                    switch rule.transport {
                    case .tcp: proxy.expose(try overlay.listen(on: everywhere), to: rule.to)
                    case .udp:
                        proxy.forward(try overlay.openDatagrams(on: everywhere), { Self.open(host, $0) }) { rule.to }
                    }
                }
            }
        }
        (self.reactor, self.paths) = (reactor, paths)
    }

    func run() { reactor.run() }

    func close() {
        reactor.close()
        for path in paths { _ = unsafe unlink(path) }
    }

    private static func naming(
        _ rule: String, _ body: () throws(OverlaySocketError) -> Void
    ) throws(ServiceFailure) {
        do throws(OverlaySocketError) { try body() } catch { throw ServiceFailure("\(rule): \(error)") }
    }

    private static func unspecified(_ family: IPAddress.Family) -> IPAddress {
        family == .v4 ? IPAddress(v4: 0) : IPAddress(v6: 0, 0)
    }

    private static func open(_ network: KernelNetwork, _ family: IPAddress.Family) -> (any OverlayDatagrams)? {
        try? network.openDatagrams(on: Endpoint(unspecified(family), port: 0))
    }

    private static func target(_ place: OverlayServices.OverlayPlace) -> SOCKS5Message.Target {
        switch place {
        case .endpoint(let endpoint): .endpoint(endpoint)
        case .name(let name): .name(name.host, port: name.port)
        }
    }

    private static func endpoint(
        of place: OverlayServices.OverlayPlace, on overlay: KernelNetwork
    ) async -> Endpoint? {
        switch place {
        case .endpoint(let endpoint): return endpoint
        case .name(let name):
            let deadline = SystemCall.now().advanced(by: .seconds(5))
            return try? await overlay.addresses(of: name.host, deadline: deadline).first
                .map { Endpoint($0, port: name.port) }
        }
    }

    /// A connection takes six descriptors at most.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard unsafe getrlimit(files, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = min(limit.rlim_max, 65536)
        _ = unsafe setrlimit(files, &limit)
    }
}
