// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftCommand
import WeftConfig
import WeftControl
import WeftGuard
import WeftPair
import WeftSandbox

extension WeftNode {
    /// What `weft show` prints; with what each network that was granted carried if that is asked for.
    func status(listingNetworks: Bool = false) -> Status {
        let now = SystemCall.now()
        let configuration = configuration
        let networks =
            servesKeys ? [:] : Dictionary(uniqueKeysWithValues: engine.networks().map { ($0.id, $0) })
        let interface = configuration.interface
        let known = control?.currentStatus() ?? ControlStatus()
        return Status(
            version: Release.version, processID: getpid(),
            control: control.map { Status.ControlProcess($0, known, at: now) },
            refusedCalls: RefusedCalls.counts.map { .init(name: $0.name, count: $0.count) },
            complaints: services.complaints.map(\.text), uptime: now.seconds(since: started),
            interface: .init(
                name: name, publicKey: interface.identity?.publicKey.description,
                addresses: interface.addresses.map(\.description), listenPort: interface.listenPort,
                listenAddress: interface.listenAddress?.description,
                mtu: datapath.host.wants.mtu, mark: mark, through: interface.through,
                answersStrangers: configuration.answersStrangers(servesKeys: servesKeys)),
            driver: datapath.capabilities, driverCounters: datapath.counters,
            cipher: "\(Suite.aes128GCM.name), \(engine.cipherName)",
            peers: configuration.peers.compactMap { peer in
                networks[peer.network].map {
                    Status.Peer(
                        peer, $0, known.peers[peer.network], known.names[peer.network],
                        paths?.status(of: peer.network, at: now), at: now)
                }
            },
            keyServer: servesKeys
                ? keyServerStatus(configuration, known, listingNetworks: listingNetworks, at: now) : nil,
            stun: stun.map { STUNStatus($0.current) }, host: HostStatus(host?.report ?? HostReport(), at: now),
            totals: .init(engine.totals()))
    }

    /// How each initiator of the file is doing, in the file's order; with what each network of theirs carried if that is
    /// asked for.
    private func keyServerStatus(
        _ configuration: TunnelConfiguration, _ known: ControlStatus, listingNetworks: Bool, at now: Instant
    ) -> KeyServerStatus {
        let numbers = known.numbers
        let initiators = configuration.initiators.map { initiator in
            KeyServerStatus.Initiator(initiator, numbers[initiator.publicKey].flatMap { known.initiators[$0] } ?? .none)
        }
        let turnedAway = known.turnedAway.values.reduce(0, &+)
        guard listingNetworks else { return KeyServerStatus(initiators, networks: nil, turnedAway: turnedAway) }
        let holders = Dictionary(numbers.map { ($0.value, $0.key) }) { first, _ in first }
        let carried = Dictionary(engine.networks().map { ($0.id, $0) }) { first, _ in first }
        let networks = known.granted.sorted { $0.vni < $1.vni }.compactMap { granted in
            carried[.vni(granted.vni)].flatMap { network in
                holders[granted.initiator].map { KeyServerStatus.Network(granted, $0, network, at: now) }
            }
        }
        return KeyServerStatus(initiators, networks: networks, turnedAway: turnedAway)
    }
}

extension Status.ControlProcess {
    init(_ service: ControlService, _ known: ControlStatus, at now: Instant) {
        let process = known.process
        self.init(
            processID: process?.id, spawnerID: service.spawner,
            uptime: process?.workingSince.map { now.seconds(since: $0) }, ends: process?.ends ?? 0,
            lastEnd: process?.lastEnd, lastEndAge: process?.lastEndAt.map { now.seconds(since: $0) },
            dropped: process?.dropped ?? 0, refused: known.refused)
    }
}
