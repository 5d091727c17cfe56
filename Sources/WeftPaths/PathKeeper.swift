// SPDX-License-Identifier: Apache-2.0
import Weft

/// Follows an engine's peers: takes what its lanes noticed, asks and answers, and moves endpoints. It does no I/O and reads no
/// clock: what is to be sent goes into a batch. One thread at a time uses it.
public struct PathKeeper: ~Copyable {
    private let engine: Engine
    private var lane: Lane
    private let paths: Paths
    /// Data that was sent to each peer, and when that was last seen to grow.
    private var traffic: [NetworkID: (sent: UInt64, grown: Instant?)] = [:]

    /// Lanes that an engine must have for it.
    public static let lanes = 1
    /// How long after data was sent its path is still asked.
    private static let sendingTime = Duration.milliseconds(600)

    /// - Parameters:
    ///   - lengths: how long packets may be.
    ///   - token: makes the random numbers of probes.
    public init(
        _ engine: Engine, _ lengths: PathLengths, token: @escaping () -> UInt64 = { .random(in: 0...UInt64.max) }
    ) throws(EngineError) {
        self.engine = engine
        lane = try Lane(engine)
        paths = Paths(lengths, token: token)
    }

    /// Sets whose paths are followed, by their networks; those of peers that stay are kept. Where data goes is the engine's to say.
    public mutating func setPeers(_ rules: [NetworkID: PathRules]) {
        let places = Dictionary(
            engine.networks().compactMap { network in
                network.endpoint.map { (network.id, AddressPair($0, from: network.localAddress)) }
            }, uniquingKeysWith: { first, _ in first })
        paths.setPeers(rules, at: places)
        for peer in rules.keys { paths.setPlace(places[peer], of: peer) }
        traffic = traffic.filter { rules[$0.key] != nil }
        for peer in rules.keys where traffic[peer] == nil { traffic[peer] = (0, nil) }
    }

    /// Where nobody is followed to.
    public var forbidden: ForbiddenPlaces {
        get { paths.forbidden }
        set { paths.forbidden = newValue }
    }

    /// A peer said whether it answers probes.
    public mutating func setAnswering(_ answering: PathRules.Answering, of peer: NetworkID) {
        paths.setAnswering(answering, of: peer)
    }

    /// A peer might be somewhere. What is to be asked at once is appended to a batch.
    public mutating func suggest(
        _ place: AddressPair, for peer: NetworkID, by origin: PathOrigin, into batch: inout ToUnderlay, at now: Instant
    ) {
        paths.suggest(place, for: peer, by: origin, at: now)
        // Who agrees on keys knows what it said itself.
        act(into: &batch, tellsControl: origin != .session, at: now)
    }

    /// A peer's name was looked up: what it stands for, in the order of preference. What is to be asked at once is appended to a batch.
    /// - Parameter isRenamed: whether the file has come to have another name for it, where it is followed once it answers there.
    public mutating func setNamed(
        _ places: [Endpoint], of peer: NetworkID, isRenamed: Bool, into batch: inout ToUnderlay, at now: Instant
    ) {
        paths.setNamed(places, of: peer, isRenamed: isRenamed, at: now)
        // Who agrees on keys knows the name, too.
        act(into: &batch, tellsControl: false, at: now)
    }

    /// The host has lost addresses: what left from them leaves from others.
    public mutating func keepLocalAddresses(_ isOurs: (IPAddress) -> Bool) {
        engine.keepLocalAddresses(isOurs)
        paths.keepLocalAddresses(isOurs)
        _ = paths.takeActions()
    }

    /// The host may lead to peers by what takes more or less than before.
    public mutating func measure() { paths.measure() }

    /// The longest inner packet that any peer's path is known to take whole; nil while none is.
    public var longest: Int? { paths.longest }

    /// Whether there is something to do soon, rather than now and then.
    public var isBusy: Bool { paths.isBusy }

    /// How a peer's present path is doing; nil for who isn't known.
    public func status(of peer: NetworkID, at now: Instant) -> PathStatus? { paths.status(of: peer, at: now) }

    /// Takes what the lanes noticed, and does what is due.
    public mutating func work(into batch: inout ToUnderlay, at now: Instant) {
        lane.refresh()
        for news in engine.takePathNews() {
            for arrival in news.arrivals { take(arrival, from: news.network, into: &batch, at: now) }
            if let sighting = news.sighting { paths.suggest(sighting, for: news.network, by: .source, at: now) }
        }
        noteTraffic(at: now)
        paths.advance(to: now) { peer in
            traffic[peer]?.grown.map { now < $0.advanced(by: Self.sendingTime) } ?? false
        }
        act(into: &batch, tellsControl: true, at: now)
    }

    private mutating func take(
        _ arrival: PathArrival, from peer: NetworkID, into batch: inout ToUnderlay, at now: Instant
    ) {
        switch arrival.probe.kind {
        case .answer: paths.answered(arrival.probe.token, by: peer, at: now)
        case .question:
            var answer = arrival.probe
            answer.kind = .answer
            for place in paths.places(answering: arrival.place, of: peer, at: now) {
                _ = lane.append(answer, to: place, of: peer, into: &batch, at: now)
            }
        }
    }

    private mutating func noteTraffic(at now: Instant) {
        let peers = Array(traffic.keys)
        for (peer, sent) in zip(peers, engine.sentData(of: peers)) {
            guard let sent, let before = traffic[peer], before.sent != sent else { continue }
            traffic[peer] = (sent, now)
        }
    }

    private mutating func act(into batch: inout ToUnderlay, tellsControl: Bool, at now: Instant) {
        lane.refresh()
        for (peer, action) in paths.takeActions() {
            switch action {
            case .probe(let token, let place, let length):
                let isSent = lane.append(
                    PathProbe(.question, token: token, length: length), to: place, of: peer, into: &batch, at: now)
                if !isSent { paths.notSent(token, to: peer) }
            case .limit(let bytes): engine.setLongestPacket(of: peer, to: bytes)
            case .move(let place):
                if tellsControl {
                    engine.follow(peer, to: place)
                } else {
                    try? engine.updateEndpoint(of: peer, to: place.remote, from: place.local)
                }
            }
        }
    }
}
