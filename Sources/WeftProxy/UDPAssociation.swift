// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftSockets

/// Carries a SOCKS5 client's datagrams into the overlay, and what answers them back.
final class UDPAssociation: Sendable {
    private let outside: any OverlayDatagrams
    private let client: IPAddress
    private let overlay: any OverlayNetwork
    private let inside: [IPAddress.Family: any OverlayDatagrams]
    /// The client's socket: the one that sent first.
    private let clientEndpoint = Mutex<Endpoint?>(nil)
    /// Names that were looked up; bounded.
    private let known = Mutex<[String: IPAddress]>([:])

    /// - Parameters:
    ///   - outside: where the client sends to.
    ///   - client: from where alone it may.
    init(_ outside: any OverlayDatagrams, _ client: IPAddress, _ overlay: any OverlayNetwork) {
        (self.outside, self.client, self.overlay) = (outside, client, overlay)
        var inside: [IPAddress.Family: any OverlayDatagrams] = [:]
        for family in IPAddress.Family.allCases where overlay.addresses.contains(where: { $0.family == family }) {
            let any = family == .v4 ? IPAddress(v4: 0) : IPAddress(v6: 0, 0)
            inside[family] = try? overlay.openDatagrams(on: Endpoint(any, port: 0))
        }
        self.inside = inside
    }

    var families: [IPAddress.Family] { Array(inside.keys) }

    func close() {
        outside.close()
        for socket in inside.values { socket.close() }
    }

    func carryOut() async {
        while let datagrams = try? await outside.receive(atMost: 64) {
            for datagram in datagrams where isClients(datagram.endpoint) {
                guard case .value(let target, let count) = SOCKS5Message.datagram(datagram.payload),
                    let endpoint = await endpoint(of: target), let socket = inside[endpoint.address.family]
                else { continue }
                // One that can't be sent is lost, as ever in UDP.
                try? await socket.send(OverlayDatagram(Array(datagram.payload.dropFirst(count)), with: endpoint))
            }
        }
    }

    func carryBack(_ family: IPAddress.Family) async {
        guard let socket = inside[family] else { return }
        while let datagrams = try? await socket.receive(atMost: 64) {
            for datagram in datagrams {
                guard let client = clientEndpoint.withLock({ $0 }) else { continue }
                try? await outside.send(
                    OverlayDatagram(SOCKS5Message.header(from: datagram.endpoint) + datagram.payload, with: client))
            }
        }
    }

    private func isClients(_ endpoint: Endpoint) -> Bool {
        guard endpoint.address == client else { return false }
        return clientEndpoint.withLock { known in
            if known == nil { known = endpoint }
            return known == endpoint
        }
    }

    private func endpoint(of target: SOCKS5Message.Target) async -> Endpoint? {
        switch target {
        case .endpoint(let endpoint): return endpoint
        case .name(let name, let port):
            if let address = known.withLock({ $0[name] }) { return Endpoint(address, port: port) }
            guard let address = try? await overlay.addresses(of: name, deadline: Proxy.deadline).first else {
                return nil
            }
            known.withLock { known in
                if known.count >= 64 { known.removeAll() }
                known[name] = address
            }
            return Endpoint(address, port: port)
        }
    }
}
