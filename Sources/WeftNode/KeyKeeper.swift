// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftConfig

/// Keeps manual keys' counters on disk: opens the state of each key, and saves how far both directions have come.
///
/// Used by the main thread alone. Whatever can't be saved is logged once until it works again; the engine stops at the
/// last mark that is on the disk.
struct KeyKeeper {
    private struct Entry {
        let network: NetworkID
        let state: KeyState
        /// The counter that this life began behind.
        let start: UInt64
        var isFailing = false
        var isShared = false
    }

    private var entries: [Entry] = []

    /// Opens the state of a peer's manual keys and installs them above the counters that were used before; a peer that
    /// keys are agreed with has none.
    mutating func install(
        _ peer: PeerConfiguration, directory: String, ownedBy owner: FileOwner?, into engine: Engine, at now: Instant
    ) throws(CommandFailure) {
        guard let keys = peer.keys else { return }
        do {
            let state = try KeyState.open(
                directory: directory, sendKey: keys.send, receiveKey: keys.receive, epoch: keys.epoch,
                owner: owner)
            let used = max(state.firstCounterFloor, 1) - 1
            let skipped = UInt64.random(in: 0..<KeyState.step / 2)
            let manual = Weft.ManualKeys(
                epoch: keys.epoch,
                sendKey: try keys.send.withBytes { try PacketKey($0) },
                receiveKey: try keys.receive.withBytes { try PacketKey($0) },
                sentBefore: used, skipped: skipped, sealedBefore: state.sealedBefore,
                ceiling: state.counterLimit - 1,
                receivedBefore: state.highestReceivedBefore ?? 0)
            try engine.installManualKeys(manual, for: peer.network, at: now)
            entries.append(Entry(network: peer.network, state: state, start: used + skipped))
        } catch {
            throw CommandFailure(.failed, "peer with VNI \(peer.vni): \(error)")
        }
    }

    private static let sharedKey =
        "another host seals with this tunnel's SendKey, so that nothing more is sent to this peer: the same file seems to be at both ends. "
        + "Exchange SendKey and ReceiveKey at one of them, and give both ends new keys, since what was sent so far may be readable"

    /// Saves how far counters have come, and raises the ceilings that come near. Waits for the disk.
    mutating func save(_ engine: Engine, _ log: Log) {
        guard !entries.isEmpty else { return }
        let networks = engine.networks()
        for index in entries.indices {
            guard let network = networks.first(where: { $0.id == entries[index].network }) else { continue }
            do {
                let state = entries[index].state
                let received = network.receive.first.flatMap { $0.highestCounter > 0 ? $0.highestCounter : nil }
                let sealed = network.transmit.map { $0.lastCounter - min($0.lastCounter, entries[index].start) }
                try state.record(highestReceived: received, sealed: sealed ?? 0)
                if let transmit = network.transmit, transmit.isShared {
                    if !entries[index].isShared { log.warning("peer with \(network.id): \(Self.sharedKey)") }
                    entries[index].isShared = true
                } else if let transmit = network.transmit {
                    let limit = try state.advance(past: transmit.lastCounter)
                    try engine.raiseCounterCeiling(of: network.id, spi: transmit.spi, to: limit - 1)
                }
                entries[index].isFailing = false
            } catch {
                if !entries[index].isFailing { log.warning("peer with \(network.id): \(error)") }
                entries[index].isFailing = true
            }
        }
    }
}
