// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftQUIC

/// A responder and its initiators, joined in memory, with a clock that moves when it's told to.
final class KeyPlane {
    final class Initiator {
        let key: PublicKey
        let endpoint: QUICEndpoint
        let requester: KeyRequester
        let engine: Engine
        var address: Endpoint
        var isConnected = true
        var events: [KeyRequester.Event] = []

        init(_ identity: borrowing Identity, asking configuration: KeyRequester.Configuration, at address: Endpoint)
            throws
        {
            key = identity.publicKey
            endpoint = try QUICEndpoint(identity)
            requester = KeyRequester(configuration, over: endpoint, jitter: { 0.5 })
            engine = try Engine(EngineConfiguration(lanes: 1))
            self.address = address
        }

        var grants: [KeyGrant] {
            events.compactMap { if case .granted(_, let grant) = $0 { grant } else { nil } }
        }

        var failures: [KeyRequestError] {
            events.compactMap { if case .failed(_, let error) = $0 { error } else { nil } }
        }

        var lost: [[UInt32]] {
            events.compactMap { if case .lost(let vnis) = $0 { vnis } else { nil } }
        }
    }

    final class Log { var lines: [String] = [] }

    static let lifetime = Duration.seconds(3600)
    static let place = Endpoint(IPAddress(v4: 0xC000_0201), port: 6081)

    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    let key: PublicKey
    let engine: Engine
    let endpoint: QUICEndpoint
    let responder: KeyResponder
    let log = Log()
    var initiators: [Initiator] = []
    var policies: [AuthorizedInitiator] = []
    /// Whether a datagram to the initiator of that number arrives.
    var passes: (Int) -> Bool = { _ in true }

    static func configuration(tunnelled: [Prefix] = []) -> KeyResponder.Configuration {
        .init(
            localPrefixes: [prefix("10.0.0.0/8")], reserved: [address("10.9.0.1")], lifetime: lifetime,
            tunnelled: tunnelled)
    }

    static func prefix(_ text: String) -> Prefix { Prefix(text) ?? Prefix(host: IPAddress(v4: 0)) }
    static func address(_ text: String) -> IPAddress { IPAddress(text) ?? IPAddress(v4: 0) }

    /// - Parameters:
    ///   - tunnelled: what the responder's host routes into the tunnel.
    ///   - port: the way to the engine, where it isn't the shortest.
    init(firstVNI: UInt32 = 1, tunnelled: [Prefix] = [], port: (Engine) -> any EnginePort = { LocalEngine($0) }) throws
    {
        let identity = try Identity.generate()
        key = identity.publicKey
        engine = try Engine(EngineConfiguration(lanes: 1))
        endpoint = try QUICEndpoint(identity)
        let log = log
        responder = KeyResponder(
            Self.configuration(tunnelled: tunnelled), over: endpoint, port: port(engine), firstVNI: firstVNI,
            log: { log.lines.append($0) })
    }

    /// Adds an initiator that may ask for addresses within `prefixes`.
    @discardableResult
    func add(
        prefixes: [String] = ["10.9.0.0/16"], networks: Int = AuthorizedInitiator.defaultNetworks,
        suites: (asks: Suite, gets: Suite) = (.aes128GCM, .aes128GCM), isListed: Bool = true,
        speaks: PeerProtocol = .icx
    ) throws -> Initiator {
        let identity = try Identity.generate()
        let number = UInt32(initiators.count + 2)
        let initiator = try Initiator(
            identity, asking: .init(responder: key, endpoint: Self.place, suite: suites.asks),
            at: Endpoint(IPAddress(v4: 0xC000_0200 | number), port: 6081))
        initiators.append(initiator)
        if isListed {
            policies.append(
                AuthorizedInitiator(
                    publicKey: initiator.key, prefixes: prefixes.map { Self.prefix($0) }, networks: networks,
                    suite: suites.gets, speaks: speaks))
        }
        responder.setInitiators(policies, at: now)
        return initiator
    }

    func ask(_ initiator: Initiator, for address: String) { ask(initiator, for: Self.address(address)) }

    func ask(_ initiator: Initiator, for address: IPAddress) {
        _ = initiator.requester.request(address, at: now)
        settle()
    }

    func status(of initiator: Initiator) throws -> InitiatorStatus {
        try #require(responder.statuses().first { $0.publicKey == initiator.key })
    }

    /// The responder's network of that number.
    func network(_ vni: UInt32) -> NetworkStatus? { engine.networks().first { $0.vni == vni } }

    /// Carries all there is to carry, until the engine has been told and the answers have come.
    func settle() {
        carry()
        for _ in 0..<8 where responder.nextDeadline <= now.advanced(by: .milliseconds(5)) {
            now = max(now, responder.nextDeadline)
            carry()
        }
    }

    private func carry() {
        var rounds = 0
        var isQuiet = false
        while !isQuiet, rounds < 1000 {
            isQuiet = true
            rounds += 1
            responder.advance(to: now)
            for datagram in collect(responder) {
                isQuiet = false
                guard let index = initiators.firstIndex(where: { $0.address == datagram.to }),
                    initiators[index].isConnected, passes(index)
                else { continue }
                initiators[index].requester.receive(datagram.bytes.span, from: Self.place, now: now)
            }
            for initiator in initiators where initiator.isConnected {
                initiator.requester.advance(to: now)
                for datagram in collect(initiator.requester) where datagram.to == Self.place {
                    isQuiet = false
                    responder.receive(datagram.bytes.span, from: initiator.address, now: now)
                }
                while let event = initiator.requester.nextEvent() { initiator.events.append(event) }
            }
        }
    }

    private func collect(_ machine: some ControlMachine) -> [(bytes: [UInt8], to: Endpoint)] {
        var sent: [(bytes: [UInt8], to: Endpoint)] = []
        machine.flush(now: now) { span, target in
            sent.append((span.indices.map { span[$0] }, target.remote))
        }
        return sent
    }

    func run(for duration: Duration, step: Duration = .milliseconds(10)) {
        let end = now.advanced(by: duration)
        settle()
        while now < end {
            now = now.advanced(by: step)
            settle()
        }
    }
}
