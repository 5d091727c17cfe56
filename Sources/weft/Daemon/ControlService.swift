// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftConfig
import WeftControl
import WeftQUIC
import WeftTUN

/// Runs a tunnel's control plane: its datagrams come from the shared port's stream and leave by the same socket.
final class ControlService: Sendable {
    /// What one thread at a time uses, behind the lock.
    private struct State: @unchecked Sendable {
        let plane: ControlPlane
        var addresses = LocalAddresses()
    }

    private let state: Mutex<State>
    private let datagrams: StreamConsumer
    private let underlay: UnderlayTransport
    private let wake: WakeEvent
    private let resolver: Resolver
    private let isClosing = Atomic(false)

    /// The longest wait: the control plane looks at its peers this often anyway.
    private static let longestWait: Int32 = 50

    init(
        _ identity: SharedIdentity, _ configuration: TunnelConfiguration, _ engine: Engine, _ datapath: TUNDatapath,
        _ log: Log
    ) throws {
        let transport = try QUICEndpoint(identity.identity)
        let plane = ControlPlane(identity.publicKey, over: transport, engine: engine) { log.info($0) }
        let peers = configuration.peers.compactMap { ControlPeer($0, configuration.interface) }
        try plane.setPeers(peers, at: SystemCall.now())
        state = Mutex(State(plane: plane))
        datagrams = try datapath.plane.streams.consume(.control)
        underlay = datapath.underlay
        wake = try WakeEvent()
        resolver = try Resolver()
        resolver.setNames(configuration.names)
    }

    /// Runs until ``close()``.
    func run() {
        var batch = datagrams.makeBatch()
        var wait: Int32 = 0
        while !isClosing.load(ordering: .acquiring) {
            guard (try? datagrams.receive(into: &batch, timeout: wait, wake: wake)) != nil else { break }
            wait = take(batch)
        }
        let now = SystemCall.now()
        state.withLock { state in
            state.plane.close(at: now)
            send(from: state.plane, now)
        }
        resolver.close()
    }

    /// Hands a batch to the control plane and sends what it has to say; milliseconds until it wants to be called again.
    private func take(_ batch: borrowing ToConsumer) -> Int32 {
        let found = resolver.takeAnswers()
        let (deadline, lookups) = state.withLock { state in
            let plane = state.plane
            for index in 0..<batch.datagrams.count {
                let bytes = batch[index]
                let copy = (0..<bytes.byteCount).map { bytes.unsafeLoadByte(at: $0) }
                plane.receive(copy.span, from: batch.datagrams[index].source, now: SystemCall.now())
            }
            let now = SystemCall.now()
            if state.addresses.changed(at: now) { plane.showOurselves() }
            for (peer, endpoint) in found { plane.setEndpoint(endpoint, of: peer, at: now) }
            plane.advance(to: now)
            send(from: plane, now)
            return (plane.nextDeadline, plane.takeLookups())
        }
        resolver.look(up: lookups, at: SystemCall.now())
        let now = SystemCall.now()
        guard deadline > now else { return 0 }
        // Rounded up, or a deadline within a millisecond would be waited for in a spin.
        return Int32(min(UInt64(Self.longestWait), (deadline.nanoseconds - now.nanoseconds) / 1_000_000 + 1))
    }

    private func send(from plane: ControlPlane, _ now: Instant) {
        plane.flush(now: now) { datagram, target in
            // What can't be sent is lost on the way, as anything may be: QUIC sends it again.
            _ = unsafe underlay.send(datagram.bytes, to: target)
        }
    }

    /// Takes the peers of a changed file.
    func reconfigure(_ configuration: TunnelConfiguration) throws {
        let peers = configuration.peers.compactMap { ControlPeer($0, configuration.interface) }
        resolver.setNames(configuration.names)
        try state.withLock { try $0.plane.setPeers(peers, at: SystemCall.now()) }
    }

    func close() {
        isClosing.store(true, ordering: .releasing)
        wake.signal()
    }

    func statuses() -> [PublicKey: ControlPeerStatus] {
        let statuses = state.withLock { $0.plane.statuses() }
        return Dictionary(uniqueKeysWithValues: statuses.map { ($0.publicKey, $0) })
    }
}

extension RawSpan {
    /// The byte at an offset within the span.
    fileprivate func unsafeLoadByte(at offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
}

extension ControlPeer {
    /// What the control plane needs of a peer; nil where its keys are manual.
    init?(_ peer: PeerConfiguration, _ interface: InterfaceConfiguration) {
        guard let key = peer.publicKey else { return nil }
        self.init(
            publicKey: key, vni: peer.vni, endpoint: peer.endpoint, isPinned: peer.pinsEndpoint,
            controlPort: peer.controlPort, suite: peer.suite, rekeyInterval: interface.rekeyInterval)
    }
}

extension TunnelConfiguration {
    /// The peers whose endpoint is a name.
    var names: [PublicKey: EndpointName] {
        Dictionary(
            peers.compactMap { peer in
                peer.publicKey.flatMap { key in peer.endpointName.map { (key, $0) } }
            }, uniquingKeysWith: { first, _ in first })
    }
}
