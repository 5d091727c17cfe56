// SPDX-License-Identifier: Apache-2.0
import Weft

/// All peers' paths, without I/O and without a clock: which address of a peer answers, and so where its data goes.
///
/// One thread at a time uses it. Peers are called by their networks.
public final class Paths {
    private var peers: [NetworkID: PeerPaths] = [:]
    private var actions: [(peer: NetworkID, action: PathAction)] = []
    private let token: () -> UInt64
    private let lengths: PathLengths
    /// Where nobody is followed to.
    public var forbidden = ForbiddenPlaces()

    /// - Parameters:
    ///   - token: makes the random numbers of probes, which nobody may guess.
    ///   - lengths: how long packets may be.
    public init(_ lengths: PathLengths, token: @escaping () -> UInt64 = { .random(in: 0...UInt64.max) }) {
        self.lengths = lengths
        self.token = token
    }

    /// Sets whose paths there are; those of peers that stay are kept.
    /// - Parameter places: where each peer's data goes at present.
    public func setPeers(_ rules: [NetworkID: PathRules], at places: [NetworkID: AddressPair]) {
        peers = peers.filter { rules[$0.key] != nil }
        for (peer, rule) in rules {
            if peers[peer] == nil { peers[peer] = PeerPaths(rule, at: places[peer], lengths) }
            peers[peer]?.set(rule)
        }
    }

    /// A peer said whether it answers probes.
    public func setAnswering(_ answering: PathRules.Answering, of peer: NetworkID) {
        guard var rules = peers[peer]?.rules, rules.answering != answering else { return }
        rules.answering = answering
        peers[peer]?.set(rules)
    }

    /// A peer's name was looked up. Of what it stands for the first places are asked whenever the present one is silent; without one
    /// the first is taken.
    /// - Parameter isRenamed: whether the file has come to have another name for it: it is asked there at once, and followed though
    ///   the present path answers.
    public func setNamed(_ places: [Endpoint], of peer: NetworkID, isRenamed: Bool, at now: Instant) {
        let named = places.filter { !forbidden.forbid(AddressPair($0)) }.prefix(PeerPaths.mostNamed)
        note(peers[peer]?.setNamed(Array(named), isRenamed: isRenamed, at: now), of: peer)
    }

    /// Somebody else moved a peer: the file, or who has set the engine's endpoint.
    public func setPlace(_ place: AddressPair?, of peer: NetworkID) { peers[peer]?.set(place) }

    /// A peer might be somewhere.
    public func suggest(_ place: AddressPair, for peer: NetworkID, by origin: PathOrigin, at now: Instant) {
        guard let rules = peers[peer]?.rules,
            rules.endpoint?.address == place.remote.address && place.remote.port != 0 || !forbidden.forbid(place)
        else { return }
        note(peers[peer]?.suggest(place, by: origin, at: now), of: peer)
    }

    /// An echo of a probe came, authentic and fresh. From where it came doesn't matter: who repeats others' datagrams faster than
    /// they come could else keep a path from answering.
    public func answered(_ token: UInt64, by peer: NetworkID, at now: Instant) {
        note(peers[peer]?.answered(token, at: now), of: peer)
    }

    /// A probe of the peer's came, authentic and fresh: where answers go. To where it came from, and, if that is elsewhere, to the
    /// present place, too: whoever repeats probes from an address of its own, faster than they come, would else have all answers.
    public func places(answering place: AddressPair, of peer: NetworkID, at now: Instant) -> [AddressPair] {
        guard let paths = peers[peer] else { return [] }
        var places: [AddressPair] = []
        let isNamed = paths.rules.endpoint == place.remote || paths.present?.remote == place.remote
        if isNamed || !forbidden.forbid(place) { places.append(place) }
        if let present = paths.present, present.remote != place.remote { places.append(present) }
        return peers[peer]?.mayAnswer(at: now) == true ? places : []
    }

    /// A probe couldn't be sent.
    public func notSent(_ token: UInt64, to peer: NetworkID) { peers[peer]?.notSent(token) }

    /// The host may lead to peers by what takes more or less than before.
    public func measure() { for peer in peers.keys { peers[peer]?.measure() } }

    /// The longest inner packet that any peer's path is known to take whole; nil while none is.
    public var longest: Int? { peers.values.compactMap(\.proven).max() }

    /// The host has lost addresses.
    public func keepLocalAddresses(_ isOurs: (IPAddress) -> Bool) {
        for peer in peers.keys { note(peers[peer]?.loseLocal(isOurs), of: peer) }
    }

    /// Does what is due for all peers.
    /// - Parameter isSending: whether data goes out to a peer.
    public func advance(to now: Instant, isSending: (NetworkID) -> Bool) {
        for peer in peers.keys {
            let due = peers[peer]?.advance(to: now, isSending: isSending(peer), token: token) ?? []
            for action in due { note(action, of: peer) }
        }
    }

    /// Whether anybody is being looked for: then ``advance(to:isSending:)`` has something to do soon.
    public var isBusy: Bool { peers.values.contains(where: \.isBusy) }

    /// What is to be done next, in order.
    public func takeActions() -> [(peer: NetworkID, action: PathAction)] {
        defer { actions.removeAll() }
        return actions
    }

    private func note(_ action: PathAction?, of peer: NetworkID) {
        if let action { actions.append((peer, action)) }
    }
}

extension Paths {
    /// How a peer's present path is doing; nil for who isn't known.
    public func status(of peer: NetworkID, at now: Instant) -> PathStatus? {
        peers[peer].map {
            PathStatus(
                place: $0.present, roundTrip: $0.roundTrip.estimate, lastAnswer: $0.lastAnswer,
                isSilent: $0.isSilent(at: now), mtu: $0.search?.proven)
        }
    }
}
