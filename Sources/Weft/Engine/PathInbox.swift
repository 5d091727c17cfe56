// SPDX-License-Identifier: Apache-2.0
import Synchronization

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
