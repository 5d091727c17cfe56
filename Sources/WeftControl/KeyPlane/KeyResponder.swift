// SPDX-License-Identifier: Apache-2.0
import Weft

/// Grants virtual networks to those who may ask: each gets a VNI and keys for one overlay address, and the engine the
/// network, before the initiator reads the answer.
///
/// What came since the last step of the engine's is the next one, however many ask. A network belongs to the
/// session that it was granted on and ends with it, when it is released, or with its keys' life.
public final class KeyResponder: ControlMachine {
    /// What all grants have in common.
    public struct Configuration: Sendable {
        /// Our side of each network's routes.
        public var localPrefixes: [Prefix]
        /// Overlay addresses that are nobody's to ask for.
        public var reserved: Set<IPAddress>
        /// How long keys live, and a VNI's quarantine takes.
        public var lifetime: Duration
        /// The initiators' UDP port for data; nil where they share one port for data and control.
        public var dataPort: UInt16?
        /// What the host routes into the tunnel, the tunnel's own datagrams too: no initiator is answered there.
        public var tunnelled: [Prefix]

        public init(
            localPrefixes: [Prefix], reserved: Set<IPAddress> = [], lifetime: Duration, dataPort: UInt16? = nil,
            tunnelled: [Prefix] = []
        ) {
            self.localPrefixes = localPrefixes
            self.reserved = reserved
            self.lifetime = lifetime
            self.dataPort = dataPort
            self.tunnelled = tunnelled
        }
    }

    /// Exchanges that a session may have under way at once.
    public static let streams = 256
    /// Sessions of one initiator. One more ends that which has been silent for longest.
    static let sessionsOfOne = 8

    let transport: any SessionTransport
    let engine: any EnginePort
    let log: (String) -> Void
    public internal(set) var configuration: Configuration
    var initiators: [PublicKey: InitiatorLife] = [:]
    private var numbers: [UInt32: InitiatorLife] = [:]
    private var nextNumber: UInt32 = 1
    var sessions: [SessionID: KeySession] = [:]
    var pool: VNIPool
    var grants = GrantTable()
    /// Grants in the order of their end.
    var expiring = FIFO<(vni: UInt32, expiry: Instant)>()
    /// When networks from before our start end; nil where there are none.
    var orphansEnd: Instant?
    /// What the engine hasn't been told yet, and what the initiators hear then.
    var staged = Staged()
    /// When the engine may be told again.
    var nextStep = Instant(nanoseconds: 0)
    /// Initiators whose requests wait, by number.
    var paced: [UInt32: InitiatorLife] = [:]
    /// Where sessions are that moved a moment ago, too.
    var moving: [SessionID: AddressPair] = [:]
    /// Calls that came to nothing.
    public var turnedAway: UInt64 { inVain.count }
    var inVain = CallsInVain()

    /// A responder beside its engine.
    ///
    /// - Parameters: as for the other initialiser.
    public convenience init(
        _ configuration: Configuration, over transport: any SessionTransport, engine: Engine,
        firstVNI: UInt32 = .random(in: 1..<1 << 24), log: @escaping (String) -> Void
    ) {
        self.init(
            configuration, over: transport, port: LocalEngine(engine, log: log), firstVNI: firstVNI, log: log)
    }

    /// - Parameters:
    ///   - port: the way to the engine, of which this is the only user.
    ///   - firstVNI: where the round of VNIs begins; anywhere, so that a restart doesn't repeat the last numbers.
    ///   - log: takes a line for people, without keys in it.
    public init(
        _ configuration: Configuration, over transport: any SessionTransport, port: any EnginePort,
        firstVNI: UInt32 = .random(in: 1..<1 << 24), log: @escaping (String) -> Void
    ) {
        self.configuration = configuration
        self.transport = transport
        engine = port
        port.setLocalPrefixes(configuration.localPrefixes)
        self.log = log
        pool = VNIPool(first: firstVNI)
    }

    // MARK: Initiators

    /// Sets who may ask, and what grants have in common from now on.
    ///
    /// An initiator that isn't named any more, or holds an address that it may no longer have, or would have other keys,
    /// loses its sessions and networks. All others keep theirs.
    public func setInitiators(
        _ initiators: [AuthorizedInitiator], _ configuration: Configuration? = nil, at now: Instant
    ) {
        let wanted = Dictionary(initiators.map { ($0.publicKey, $0) }) { first, _ in first }
        if let configuration {
            self.configuration = configuration
            engine.setLocalPrefixes(configuration.localPrefixes)
        }
        for (key, life) in self.initiators {
            guard let policy = wanted[key] else {
                drop(life, at: now)
                self.initiators[key] = nil
                numbers[life.number] = nil
                paced[life.number] = nil
                continue
            }
            let keeps = life.sessions.allSatisfy { session in
                admits(session.place.remote)
                    && session.granted.allSatisfy { vni in grants[vni].map { mayHave($0.address, policy) } ?? true }
            }
            for vni in life.orphans {
                if let grant = grants[vni], !mayHave(grant.address, policy) { withdraw(grant, at: now) }
            }
            if !keeps || policy.suite != life.policy.suite { drop(life, at: now) }
            if policy.requestsPerSecond != life.policy.requestsPerSecond { life.requests = policy.allowance }
            life.policy = policy
        }
        for (key, policy) in wanted where self.initiators[key] == nil {
            let life = InitiatorLife(policy, number: nextNumber)
            nextNumber &+= 1
            self.initiators[key] = life
            numbers[life.number] = life
        }
        transport.authorize(wanted.mapValues { PeerTerms(streams: Self.streams, speaks: $0.speaks) })
        commit(at: now)
    }

    private func drop(_ life: InitiatorLife, at now: Instant) {
        for session in life.sessions {
            forget(session, at: now)
            transport.close(session.id, code: ControlPlane.CloseCode.done, now: now)
        }
        for vni in life.orphans {
            if let grant = grants[vni] { withdraw(grant, at: now) }
        }
    }

    func mayHave(_ address: IPAddress, _ policy: AuthorizedInitiator) -> Bool {
        policy.mayHave(address) && !configuration.reserved.contains(address)
            && configuration.localPrefixes.contains { $0.family == address.family }
    }

    /// How each initiator is doing.
    public func statuses() -> [InitiatorStatus] { initiators.values.map { $0.status() } }

    /// The networks that are granted, in no order.
    public func networks() -> [GrantedNetwork] { grants.all.map { network(of: $0) } }

    // MARK: Time and datagrams

    public func receive(_ datagram: Span<UInt8>, from source: AddressPair, now: Instant) {
        transport.receive(datagram, from: source, now: now)
    }

    public var nextDeadline: Instant {
        let expiry = expiring.first?.expiry ?? .distantFuture
        return min(
            transport.nextDeadline ?? .distantFuture, expiry, orphansEnd ?? .distantFuture, nextPacedDeadline)
    }

    public func advance(to now: Instant) {
        transport.advance(to: now)
        pool.advance(to: now) { numbers[$0]?.quarantined -= 1 }
        expire(at: now)
        endOrphans(at: now)
        handleEvents(at: now)
        servePaced(at: now)
        handleRefusals(at: now)
        if now >= stepDeadline { commit(at: now) }
    }

    public func flush(now: Instant, _ send: (Span<UInt8>, AddressPair) -> Void) {
        transport.flush(now: now, send)
    }

    public func close(at now: Instant) {
        for life in initiators.values { drop(life, at: now) }
        commit(at: now)
    }

    private func expire(at now: Instant) {
        while let (vni, expiry) = expiring.first, now > expiry {
            _ = expiring.popFirst()
            // Released and granted again, it stands further back, too.
            if let grant = grants[vni], grant.expiry == expiry { withdraw(grant, at: now) }
        }
    }
}
