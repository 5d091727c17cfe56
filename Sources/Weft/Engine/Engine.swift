// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Seals IP packets into Geneve and opens them: virtual networks, routes, security associations and statistics.
///
/// The engine does no I/O and reads no clock. It is set up from any thread through the methods here; packets go
/// through a ``Lane``, of which each thread makes its own.
public final class Engine: Sendable {
    public let configuration: EngineConfiguration
    /// The cipher that runs, with its version; for people.
    public let cipherName: String

    let flowHash: FlowHash
    /// What no network can be blamed for, and every drop once more: the engine's own books.
    let counters: CounterBlocks
    let state: Mutex<State>
    /// Which networks' lanes have noticed something of their peers' paths.
    let pathNews = PathNewsList()
    /// Bytes of the longest packet that the overlay's device takes.
    let overlayMTU = Atomic(Int.max)
    /// The newest snapshot's generation. A lane looks at it once per batch.
    let generation = Atomic<UInt64>(0)

    struct State {
        var snapshot = Snapshot.empty
        var owners: [Route: NetworkID] = [:]
        var epochs: [NetworkID: UInt32] = [:]
        /// Fingerprints of the (SPI, key) pairs that manual keys have sent with, as long as the engine lives.
        var usedTransmitKeys: Set<[UInt8]> = []
        var freeLanes: [Int]
    }

    /// - Throws: ``EngineError/noCipher(_:)`` when the chosen cipher is missing or answers wrong.
    public init(_ configuration: EngineConfiguration) throws(EngineError) {
        self.configuration = configuration
        cipherName = try PacketCipher.make(configuration.cipher).name
        flowHash = FlowHash(key: configuration.flowHashKey)
        counters = CounterBlocks(lanes: configuration.lanes)
        state = Mutex(State(freeLanes: Array((0..<configuration.lanes).reversed())))
    }

    /// Makes an edited snapshot the one that lanes look at next.
    func publish(_ edit: SnapshotEdit, in state: inout State) {
        state.snapshot = edit.finish()
        // Releasing: who sees the generation and then takes the lock sees the snapshot.
        generation.store(state.snapshot.generation, ordering: .releasing)
    }

    func slot(of network: NetworkID, in state: borrowing State) throws(EngineError) -> Int {
        guard let slot = state.snapshot.topology.slot(of: network) else { throw .unknownNetwork(network) }
        return slot
    }

    /// Runs `body` under the lock and keeps its typed error.
    func withState<Result: Sendable>(
        _ body: (inout State) throws(EngineError) -> Result
    ) throws(EngineError) -> Result {
        try state.withLock { (state: inout sending State) throws(EngineError) -> Result in try body(&state) }
    }
}
