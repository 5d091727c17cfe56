// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

@testable import WeftQUIC

/// Endpoints joined in memory, with a clock that moves when it's told to.
final class Network {
    final class Host {
        let endpoint: QUICEndpoint
        let key: PublicKey
        var address: Endpoint
        var events: [SessionEvent] = []
        /// From which of its addresses its datagrams left, as far as it said.
        var leftFrom: Set<IPAddress?> = []
        /// Takes part while true.
        var isConnected = true

        init(_ endpoint: QUICEndpoint, _ key: PublicKey, at address: Endpoint) {
            self.endpoint = endpoint
            self.key = key
            self.address = address
        }

        init(_ identity: borrowing Identity, at address: Endpoint, limits: QUICEndpoint.Limits = .init()) throws {
            endpoint = try QUICEndpoint(identity, limits: limits)
            key = identity.publicKey
            self.address = address
        }
    }

    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    var hosts: [Host] = []
    /// Sees each datagram with its source and target; false drops it.
    var passes: ([UInt8], Host, Endpoint) -> Bool = { _, _, _ in true }
    /// What went to nobody.
    var strays: [(bytes: [UInt8], to: Endpoint)] = []

    static func address(_ number: UInt8) -> Endpoint {
        Endpoint(IPAddress(v4: 0xC000_0200 | UInt32(number)), port: 6081)
    }

    func add(_ identity: borrowing Identity, limits: QUICEndpoint.Limits = .init()) throws -> Host {
        let host = try Host(identity, at: Self.address(UInt8(hosts.count + 1)), limits: limits)
        hosts.append(host)
        return host
    }

    /// Carries datagrams and events until nobody has anything to do at this moment.
    func settle() {
        var isQuiet = false
        var rounds = 0
        while !isQuiet, rounds < 1000 {
            isQuiet = true
            rounds += 1
            for host in hosts where host.isConnected {
                host.endpoint.advance(to: now)
                var sent: [(bytes: [UInt8], to: Endpoint)] = []
                host.endpoint.flush(now: now) { span, target in
                    sent.append((span.indices.map { span[$0] }, target.remote))
                    host.leftFrom.insert(target.local)
                }
                for datagram in sent {
                    isQuiet = false
                    guard passes(datagram.bytes, host, datagram.to) else { continue }
                    if let target = hosts.first(where: { $0.address == datagram.to && $0.isConnected }) {
                        target.endpoint.receive(
                            datagram.bytes.span, from: AddressPair(host.address, from: datagram.to.address), now: now)
                    } else {
                        strays.append(datagram)
                    }
                }
                while let event = host.endpoint.nextEvent() { host.events.append(event) }
            }
        }
    }

    /// Lets time pass, in steps of 10 ms.
    func run(for duration: Duration) {
        let end = now.advanced(by: duration)
        settle()
        while now < end {
            now = now.advanced(by: .milliseconds(10))
            settle()
        }
    }
}

extension Network.Host {
    var established: SessionID? {
        for case .established(let session, _, _, _) in events { return session }
        return nil
    }

    var ends: [SessionEnd] {
        events.compactMap { event in
            if case .ended(_, _, let end) = event { end } else { nil }
        }
    }

    /// All that came on a stream, and whether it ended.
    func received(on stream: StreamID) -> (bytes: [UInt8], isEnd: Bool) {
        var bytes: [UInt8] = []
        var hasEnd = false
        for case .received(_, stream, let data, let isEnd) in events {
            bytes += data
            hasEnd = hasEnd || isEnd
        }
        return (bytes, hasEnd)
    }

    /// The stream that first brought something.
    var incoming: StreamID? {
        for case .received(_, let stream, _, _) in events { return stream }
        return nil
    }
}
