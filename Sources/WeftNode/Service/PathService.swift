// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftCommand
import WeftConfig
import WeftPaths

/// Follows the tunnel's peers to where they answer.
final class PathService: NodeService {
    let name = "weft-paths"
    private let engine: Engine
    private let datapath: any TunnelDatapath
    /// Whether the paths say how long packets the device takes.
    private let setsMTU: Bool
    private let log: Log
    private let state: Mutex<State>
    private let arrival: ArrivalEvent
    private let wake: WakeEvent
    private let isClosing = Atomic(false)

    private struct State: ~Copyable {
        var keeper: PathKeeper
        /// What is to be sent, by the service's own thread: who suggests something never waits for a socket.
        var batch = ToUnderlay(room: 0)
        /// Which of the peers that agree on keys answer probes, as they said themselves.
        var answering: [NetworkID: Bool] = [:]
        /// What peers' names stood for when they were looked up last.
        var named: [NetworkID: [Endpoint]] = [:]
        var addresses = HostAddresses()
        var nextLook = Instant(nanoseconds: 0)
        var nextMeasure = Instant(nanoseconds: 0)
        var mtu: DeviceMTU
    }

    /// Between rounds while somebody is looked for, and while nobody is: milliseconds.
    private static let (hurry, calm): (Int32, Int32) = (50, 250)
    /// How often the host's own addresses are looked at.
    private static let addressPeriod = Duration.milliseconds(500)
    /// How often the host is asked what leads to peers.
    private static let measurePeriod = Duration.seconds(5)

    /// - Parameters:
    ///   - engine: with ``PathKeeper/lanes`` to spare.
    ///   - datapath: by whose port probes leave.
    ///   - tunnelled: what the host routes into the tunnel.
    init(
        _ file: TunnelConfiguration, _ engine: Engine, _ datapath: any TunnelDatapath, tunnelled: [Prefix], _ log: Log
    ) throws {
        self.engine = engine
        self.datapath = datapath
        self.log = log
        setsMTU = file.interface.mtu == nil
        arrival = try ArrivalEvent()
        wake = try WakeEvent()
        let (underlay, longest) = (datapath.transport, datapath.longestPacket)
        let lengths: PathLengths =
            file.interface.mtu.map { .fixed($0) }
            ?? .automatic(least: InterfaceConfiguration.defaultMTU) { endpoint in
                min(underlay.longestPacket(to: endpoint) ?? 0, longest)
            }
        state = Mutex(
            State(keeper: try PathKeeper(engine, lengths), mtu: DeviceMTU(file.interface.firstMTU)))
        follow(file, tunnelled: tunnelled)
    }

    /// Follows the peers of a changed file from now on.
    func follow(_ file: TunnelConfiguration, tunnelled: [Prefix]) {
        state.withLock { state in
            var rules: [NetworkID: PathRules] = [:]
            for peer in file.peers {
                if peer.endpointName == nil { state.named[peer.network] = nil }
                rules[peer.network] = PathRules(
                    peer, named: state.named[peer.network] ?? [], answers: state.answering[peer.network] ?? false)
            }
            state.answering = state.answering.filter { rules[$0.key] != nil }
            state.named = state.named.filter { rules[$0.key] != nil }
            state.keeper.setPeers(rules)
            state.keeper.forbidden.tunnelled = tunnelled
        }
    }

    /// A peer that keys are agreed with said whether it answers probes.
    func setAnswers(_ answers: Bool, of network: NetworkID) {
        state.withLock { state in
            state.answering[network] = answers
            state.keeper.setAnswering(answers ? .always : .never, of: network)
        }
    }

    /// A peer might be somewhere.
    func suggest(_ place: AddressPair, for network: NetworkID, by origin: PathOrigin) {
        let now = SystemCall.now()
        state.withLock { $0.keeper.suggest(place, for: network, by: origin, into: &$0.batch, at: now) }
        arrival.signal()
    }

    /// A peer's name was looked up: what it stands for, in the order of preference.
    /// - Parameter isRenamed: whether it is another name than before.
    func setNamed(_ places: [Endpoint], of network: NetworkID, isRenamed: Bool) {
        let now = SystemCall.now()
        state.withLock { state in
            state.named[network] = places
            state.keeper.setNamed(places, of: network, isRenamed: isRenamed, into: &state.batch, at: now)
        }
        arrival.signal()
    }

    /// How a peer's path is doing.
    func status(of network: NetworkID, at now: Instant) -> PathStatus? {
        state.withLock { $0.keeper.status(of: network, at: now) }
    }

    func run() {
        engine.announcePathNews(by: arrival)
        var batch = ToUnderlay(room: 0)
        while !isClosing.load(ordering: .acquiring) {
            arrival.clear()
            let isBusy = work(&batch, at: SystemCall.now())
            // A probe that finds no way is one that isn't answered.
            if !batch.runs.isEmpty { datapath.transport.send(batch) { _, _, _ in } }
            if setsMTU { followMTU(at: SystemCall.now()) }
            _ = try? wake.wait(for: arrival.raw, events: POLLIN, timeout: isBusy ? Self.hurry : Self.calm)
        }
        engine.announcePathNews(by: nil)
    }

    func close() {
        isClosing.store(true, ordering: .releasing)
        wake.signal()
    }

    /// Does what is due, and hands over what is to be sent. Whether there is more to do soon.
    private func work(_ batch: inout ToUnderlay, at now: Instant) -> Bool {
        batch.removeAll()
        return state.withLock { state in
            if now >= state.nextLook {
                state.nextLook = now.advanced(by: Self.addressPeriod)
                lookAtAddresses(&state)
            }
            if setsMTU, now >= state.nextMeasure {
                state.nextMeasure = now.advanced(by: Self.measurePeriod)
                state.keeper.measure()
            }
            state.keeper.work(into: &state.batch, at: now)
            swap(&state.batch, &batch)
            return state.keeper.isBusy
        }
    }

    /// Has the device take what paths do.
    private func followMTU(at now: Instant) {
        let mtu = state.withLock { state in
            state.mtu.note(state.keeper.longest ?? InterfaceConfiguration.defaultMTU, at: now)
        }
        guard let mtu else { return }
        do throws(DatapathError) {
            try datapath.setMTU(mtu)
            engine.setOverlayMTU(to: mtu)
        } catch {
            log.warning("the interface can't have an MTU of \(mtu): \(error)")
        }
    }

    private func lookAtAddresses(_ state: inout State) {
        let present = HostAddresses.present()
        guard present != state.addresses else { return }
        let isLess = !state.addresses.own.isSubset(of: present.own)
        state.addresses = present
        state.keeper.forbidden.addresses = present.own.union(present.broadcasts)
        if isLess { state.keeper.keepLocalAddresses(present.own.contains) }
    }
}

extension PathRules {
    /// - Parameters:
    ///   - named: what its name stands for, if it has one.
    ///   - answers: whether a peer that keys are agreed with said that it answers probes.
    init(_ peer: PeerConfiguration, named: [Endpoint], answers: Bool) {
        let answering: Answering =
            if peer.publicKey == nil { .perhaps } else { answers && peer.controlPort == nil ? .always : .never }
        self.init(endpoint: peer.endpoint, named: named, isPinned: peer.pinsEndpoint, answering: answering)
    }
}
