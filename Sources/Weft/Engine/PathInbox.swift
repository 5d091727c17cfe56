// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A probe that came, authentic and fresh.
public struct PathArrival: Hashable, Sendable {
    public let probe: PathProbe
    /// From where, and to which of our addresses.
    public let place: AddressPair
}

/// What the packet path noticed of a peer's paths.
public struct PathNews: Sendable {
    public let network: NetworkID
    public internal(set) var arrivals: [PathArrival] = []
    /// Where something newer than all before came from, if that isn't the endpoint.
    public internal(set) var sighting: AddressPair?
}

/// What came of one network's probes, and where its peer was seen, until somebody asks. What a peer can make us keep is bounded.
final class PathInbox: Sendable {
    private struct State {
        var arrivals: [PathArrival] = []
        var sighting: AddressPair?
        var isListed = false
    }

    private static let mostArrivals = 16

    private let network: NetworkID
    private let state = Mutex(State())
    /// So that a peer that sends from many ports costs a look for each run of packets, and no lock.
    private let hasSighting = Atomic(false)

    init(of network: NetworkID) { self.network = network }

    func put(_ probe: PathProbe, from place: AddressPair, _ list: PathNewsList) {
        let isNew = state.withLock { state in
            guard state.arrivals.count < Self.mostArrivals else { return false }
            state.arrivals.append(PathArrival(probe: probe, place: place))
            defer { state.isListed = true }
            return !state.isListed
        }
        if isNew { list.add(network) }
    }

    /// The peer was seen elsewhere than at its endpoint.
    func see(_ place: AddressPair, _ list: PathNewsList) {
        guard !hasSighting.load(ordering: .relaxed), !hasSighting.exchange(true, ordering: .relaxed) else { return }
        let isNew = state.withLock { state in
            state.sighting = place
            defer { state.isListed = true }
            return !state.isListed
        }
        if isNew { list.add(network) }
    }

    func take() -> PathNews {
        let news = state.withLock { state in
            defer { state = State() }
            return PathNews(network: network, arrivals: state.arrivals, sighting: state.sighting)
        }
        hasSighting.store(false, ordering: .relaxed)
        return news
    }
}

/// The networks that have news of their paths, each once; so it is no longer than there are networks.
final class PathNewsList: Sendable {
    private struct State {
        var waiting: [NetworkID] = []
        var arrival: ArrivalEvent?
    }

    private let state = Mutex(State())

    func attach(_ arrival: ArrivalEvent?) { state.withLock { $0.arrival = arrival } }

    func add(_ network: NetworkID) {
        let arrival = state.withLock { state in
            state.waiting.append(network)
            return state.arrival
        }
        arrival?.signal()
    }

    func take() -> [NetworkID] {
        state.withLock { state in
            defer { state.waiting.removeAll() }
            return state.waiting
        }
    }
}

extension Engine {
    /// Has an event signalled whenever there is news of a peer's paths; nil for none.
    package func announcePathNews(by arrival: ArrivalEvent?) { pathNews.attach(arrival) }

    /// What was noticed of peers' paths since the last call. One caller hears it.
    public func takePathNews() -> [PathNews] {
        let listed = pathNews.take()
        guard !listed.isEmpty else { return [] }
        let snapshot = state.withLock { $0.snapshot }
        return listed.compactMap { network in
            snapshot.topology.slot(of: network).map { snapshot.networks[$0].paths.take() }
        }
    }
}
