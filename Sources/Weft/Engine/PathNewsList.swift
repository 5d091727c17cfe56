// SPDX-License-Identifier: Apache-2.0
import Synchronization

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
