// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftCommand
import WeftGuard

/// Calls peers from another port where a router's translation of the tunnel's own has gone wrong: an entry that was made too early, or for
/// what the router was before it rebooted, lives for as long as our own calls keep it alive. The tunnel's port stays open for all others.
final class PortMover: Sendable {
    private let datapath: any TunnelDatapath
    /// Nil where nothing of the tunnel's filters what comes.
    private let host: HostKeeper?
    private let log: Log
    private let choice = Mutex(PortChoice())

    init(_ datapath: any TunnelDatapath, _ host: HostKeeper?, _ log: Log) {
        self.datapath = datapath
        self.host = host
        self.log = log
    }

    /// Looks how calls are doing, about once a second.
    func look(at status: ControlStatus, _ served: ServedConfiguration, _ now: Instant) {
        var called: [NetworkID: PortChoice.Called] = [:]
        // ICX's ends are called from a port of control's own.
        for peer in served.peers[.shared] ?? [] {
            guard let state = status.peers[peer.network]?.state else { continue }
            var places = peer.endpoint.map { [$0] } ?? []
            if let name = served.names[peer.network] {
                places += (status.names[peer.network]?.addresses ?? []).map { Endpoint($0, port: name.port) }
            }
            if !places.isEmpty { called[peer.network] = .init(state: state, places: places) }
        }
        guard let change = choice.withLock({ $0.look(at: called, now) }) else { return }
        do throws(DatapathError) {
            let port = try datapath.serve(change.places, fromFreshPort: change.isFresh)
            do { try host?.expectDatagrams(at: port) } catch {
                log.warning("what comes to UDP port \(port ?? 0) can't be let in: \(error)")
            }
            guard let port else { return log.info("all peers are called from the tunnel's own UDP port again") }
            let places = change.places.map(\.description).sorted().joined(separator: ", ")
            log.info("nobody answers at \(places): datagrams go there from UDP port \(port) for now")
        } catch {
            log.warning("nobody answers calls from the tunnel's port, and there is no other: \(error)")
        }
    }
}
