// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftSockets

extension Proxy {
    /// Carries datagrams that come to a socket to a place of another network, and what answers back: each sender has a socket of its
    /// own there, 256 senders at most, which goes when nothing came back for a minute.
    public func forward(
        _ socket: any OverlayDatagrams, _ open: @escaping @Sendable (IPAddress.Family) -> (any OverlayDatagrams)?,
        to place: @escaping @Sendable () async -> Endpoint?
    ) {
        let table = SenderTable()
        start {
            while let datagrams = try? await socket.receive(atMost: 64) {
                for datagram in datagrams {
                    guard let endpoint = await place() else { continue }
                    var other = table.socket(of: datagram.endpoint)
                    if other == nil, table.count < 256, let made = open(endpoint.address.family) {
                        table.set(made, of: datagram.endpoint)
                        other = made
                        let sender = datagram.endpoint
                        self.start { await Self.carryBack(made, to: sender, by: socket, table) }
                    }
                    try? await other?.send(OverlayDatagram(datagram.payload, with: endpoint))
                }
            }
        }
    }

    private static func carryBack(
        _ made: any OverlayDatagrams, to sender: Endpoint, by socket: any OverlayDatagrams, _ table: SenderTable
    ) async {
        while true {
            made.setDeadline(SystemCall.now().advanced(by: .seconds(60)))
            guard let answers = try? await made.receive(atMost: 64) else { break }
            for answer in answers { try? await socket.send(OverlayDatagram(answer.payload, with: sender)) }
        }
        table.set(nil, of: sender)
        made.close()
    }

    /// Which socket each sender has.
    private final class SenderTable: Sendable {
        private let senders = Mutex<[Endpoint: any OverlayDatagrams]>([:])

        var count: Int { senders.withLock { $0.count } }

        func socket(of sender: Endpoint) -> (any OverlayDatagrams)? { senders.withLock { $0[sender] } }

        func set(_ socket: (any OverlayDatagrams)?, of sender: Endpoint) { senders.withLock { $0[sender] = socket } }
    }
}
