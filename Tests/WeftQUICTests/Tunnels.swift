// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftQUIC

/// Hosts with an engine and a control plane each, joined in memory, with a clock that moves when it's told to.
final class Tunnels {
    final class Host {
        let identity: Identity
        let endpoint: QUICEndpoint
        let engine: Engine
        let control: ControlPlane
        var address: Endpoint
        var isConnected = true
        /// Datagrams of control that it has sent.
        var sent = 0
        let log: Log

        final class Log { var lines: [String] = [] }

        init(
            _ identity: consuming Identity, at address: Endpoint,
            drawVNI: @escaping () -> UInt32 = { .random(in: 1...0xFF_FFFF) }
        ) throws {
            let key = identity.publicKey
            endpoint = try QUICEndpoint(identity)
            self.identity = identity
            engine = try Engine(EngineConfiguration(lanes: 2))
            let log = Log()
            self.log = log
            control = ControlPlane(
                key, over: endpoint, port: LocalEngine(engine), jitter: { 0.5 }, drawVNI: drawVNI,
                log: { log.lines.append($0) })
            self.address = address
        }

        /// A copy of the identity, for a host that is restarted.
        func restarted() throws -> Host {
            let pem = identity.pem()
            return try Host(try Identity(pem: pem.span), at: address)
        }

        /// The network of the first peer: a numbered one where there are others.
        var network: NetworkStatus? { engine.networks().first { $0.id == Tunnels.network } ?? engine.networks().first }
    }

    /// The VNI where ends name none to each other.
    static let vni: UInt32 = 7
    /// Each end's network.
    static let network = NetworkID.number(0)
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    var hosts: [Host] = []
    /// How long each datagram takes.
    var delay = Duration.zero
    /// What becomes of a datagram instead: how long each of its copies takes.
    var fate: (() -> [Duration])?
    private var underWay: [(bytes: [UInt8], from: Endpoint, to: Endpoint, due: Instant)] = []

    static func address(_ number: UInt8) -> Endpoint {
        Endpoint(IPAddress(v4: 0xC000_0200 | UInt32(number)), port: 6081)
    }

    /// Two hosts that know each other. `dials` says which of them, the lower key first, has an endpoint.
    init(dials: (lower: Bool, upper: Bool) = (true, true), suite: Suite = .aes128GCM) throws {
        var one = try Host(Identity.generate(), at: Self.address(1))
        var two = try Host(Identity.generate(), at: Self.address(2))
        if !Self.isLower(one, two) {
            swap(&one, &two)
            swap(&one.address, &two.address)
        }
        hosts = [one, two]
        try set(one, towards: two, dials: dials.lower, suite: suite)
        try set(two, towards: one, dials: dials.upper, suite: suite)
    }

    static func isLower(_ one: Host, _ two: Host) -> Bool {
        one.identity.publicKey.subjectPublicKeyInfo.lexicographicallyPrecedes(
            two.identity.publicKey.subjectPublicKeyInfo)
    }

    func set(
        _ host: Host, towards other: Host, dials: Bool, icx: Bool = false, suite: Suite = .aes128GCM,
        rekeyInterval: Duration = .seconds(120), network: NetworkID = Tunnels.network, vni: UInt32 = Tunnels.vni,
        presharedKey: PresharedKey? = nil
    ) throws {
        if host.network == nil {
            try host.engine.add(NetworkConfiguration(network, endpoint: dials ? other.address : nil, routes: []))
        }
        try host.control.setPeers(
            [
                ControlPeer(
                    publicKey: other.identity.publicKey, network: network, vni: vni,
                    endpoint: dials ? other.address : nil,
                    controlPort: icx ? other.address.port : nil, suite: suite, rekeyInterval: rekeyInterval,
                    presharedKey: presharedKey)
            ], at: now)
    }

    func settle() {
        var isQuiet = false
        var rounds = 0
        while !isQuiet, rounds < 1000 {
            isQuiet = true
            rounds += 1
            for host in hosts where host.isConnected {
                host.control.advance(to: now)
                var sent: [(bytes: [UInt8], to: Endpoint)] = []
                host.control.flush(now: now) { span, target in
                    sent.append((span.indices.map { span[$0] }, target.remote))
                }
                host.sent += sent.count
                for datagram in sent {
                    for copy in fate?() ?? [delay] {
                        underWay.append((datagram.bytes, host.address, datagram.to, now.advanced(by: copy)))
                    }
                }
                if deliver() { isQuiet = false }
            }
        }
    }

    /// Hands over what has arrived by now; whether anything has.
    private func deliver() -> Bool {
        let arrived = underWay.filter { $0.due <= now }
        underWay.removeAll { $0.due <= now }
        for datagram in arrived {
            guard let target = hosts.first(where: { $0.address == datagram.to && $0.isConnected }) else { continue }
            target.control.receive(datagram.bytes.span, from: datagram.from, now: now)
        }
        return !arrived.isEmpty
    }

    func run(for duration: Duration, step: Duration = .milliseconds(10)) {
        let end = now.advanced(by: duration)
        settle()
        while now < end {
            now = now.advanced(by: step)
            settle()
        }
    }

    /// Runs until `condition` holds; how long that took, nil for longer than `limit`.
    func time(until condition: () -> Bool, limit: Duration = .seconds(20)) -> Duration? {
        let start = now
        let end = now.advanced(by: limit)
        while now < end {
            settle()
            if condition() { return .nanoseconds(Int64(now.nanoseconds - start.nanoseconds)) }
            now = now.advanced(by: .milliseconds(10))
        }
        return nil
    }

    /// Whether each end opens what the other seals: by number, the newest first.
    var isUp: Bool {
        guard let one = hosts[0].network, let two = hosts[1].network, let to = one.transmit, let back = two.transmit
        else { return false }
        return two.receive.contains { $0.vni == to.vni && $0.spi == to.spi }
            && one.receive.contains { $0.vni == back.vni && $0.spi == back.spi }
    }
}
