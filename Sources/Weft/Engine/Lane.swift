// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// One thread's way through the engine: its cipher, its counters and its view of what is configured.
///
/// A lane has one owner and is used by one thread at a time. Nothing in it allocates, locks or counts references per
/// packet; it looks for a newer snapshot once per call of ``refresh()``, which a driver makes once per batch and at
/// least once a second, so that replaced keys are wiped in time.
public struct Lane: ~Copyable, @unchecked Sendable {
    // Unchecked for the views, which hold pointers: what they show is immutable, atomic or locked.
    public let engine: Engine
    let index: Int
    var cipher: PacketCipher
    /// Keeps alive what `view` shows.
    private(set) var snapshot: Snapshot
    private(set) var view: Snapshot.View
    /// This engine's own books.
    let totals: CounterBlocks.View
    let mode: EngineConfiguration.Mode
    let flowHash: FlowHash
    /// The bits of inner traffic classes that all outer headers get.
    private let copiedDSCP: UInt8
    var located: FixedArray<Located>
    var opened: FixedArray<Opened>
    // A batch between its steps.
    var lookups: FixedArray<RouteLookup>
    var plans: FixedArray<SealPlan>
    var runs: FixedArray<SealRun>
    var coalescer = Coalescer()
    /// The network of the packet that a transform of single packets last forwarded, for a transport that then refuses it.
    public internal(set) var lastNetwork = NetworkID.none
    /// Whether sealing in place makes a datagram where a frame was wanted and no way for frames is known: the kernel may
    /// know one. ``lastEndpoint`` says when that happened.
    public var sealsDatagramsWithoutPath = false
    /// Where the datagram goes that sealing in place last made; nil when that was a frame.
    public internal(set) var lastEndpoint: Endpoint?
    /// Whether that datagram is too long for the way, and must go in fragments.
    public internal(set) var lastIsTooLong = false
    /// The longest inner packet that goes whole to where the packet last sealed in place goes, or last was to go.
    public internal(set) var lastLongestPacket = Int.max
    /// Which of our addresses it leaves from.
    public internal(set) var lastLocalAddress: IPAddress?
    /// The traffic class of its outer header.
    public internal(set) var lastTrafficClass: UInt8 = 0

    /// Bytes of the longest inner packet that goes in fragments: what each link carries (RFC 8200 section 5).
    public static let longestFragmentedPacket = 1280

    /// The most packets that share one reservation of counters or one hold of a window; a larger batch takes several.
    public static let batchLimit = 256

    /// How a sealed packet is wrapped on the underlay's side.
    public enum Framing: Hashable, Sendable {
        /// A UDP payload: the kernel makes the outer headers.
        case datagram
        /// A whole Ethernet frame.
        case frame
    }

    /// What became of a packet.
    public enum Outcome: Hashable, Sendable {
        /// Sealed, or opened: where it stands in the output.
        case forward(Range<Int>)
        /// A reply for the side that the packet came from (ARP or neighbour discovery): where it stands.
        case reply(Range<Int>)
        /// Authentic, and consumed here: a keep-alive or another out-of-band message.
        case consumed
        case dropped(DropReason)
    }

    /// - Throws: ``EngineError/tooManyLanes(limit:)``, or when the cipher can't be made.
    public init(_ engine: Engine) throws(EngineError) {
        let limit = engine.configuration.lanes
        let cipher = try PacketCipher.make(engine.configuration.cipher)
        let index = try engine.withState { (state: inout Engine.State) throws(EngineError) in
            guard let index = state.freeLanes.popLast() else { throw .tooManyLanes(limit: limit) }
            return index
        }
        self.engine = engine
        self.index = index
        self.cipher = cipher
        let snapshot = engine.state.withLock { $0.snapshot }
        self.snapshot = snapshot
        // Safe: the lane holds the snapshot and the engine as long as the views of them.
        view = unsafe snapshot.view
        totals = unsafe engine.counters.view
        mode = engine.configuration.mode
        flowHash = engine.flowHash
        copiedDSCP = engine.configuration.copiesDSCP ? TrafficClass.dscp : 0
        located = FixedArray(capacity: Self.batchLimit)
        opened = FixedArray(capacity: Self.batchLimit)
        lookups = FixedArray(capacity: Self.batchLimit)
        plans = FixedArray(capacity: Self.batchLimit)
        runs = FixedArray(capacity: Self.batchLimit)
    }

    deinit {
        let index = index
        engine.state.withLock { $0.freeLanes.append(index) }
    }

    /// Takes the newest snapshot. Lets go of the older one, and with it of keys that were replaced.
    @inline(__always)
    public mutating func refresh() {
        if engine.generation.load(ordering: .acquiring) != snapshot.generation { takeSnapshot() }
    }

    private mutating func takeSnapshot() {
        let newest = engine.state.withLock { $0.snapshot }
        view = unsafe newest.view
        snapshot = newest
        // A key that went is wiped everywhere, also where the cipher keeps it expanded.
        cipher.forgetKeys()
    }

    /// Counts packets that a transport could not take after the engine was done with them.
    /// - Parameter network: ``NetworkID/none`` where none is known.
    public func countDrop(_ reason: DropReason, in network: NetworkID, packets: Int = 1) {
        count(reason, view.slot(of: network).map { view.networks[$0].counters }, packets: packets)
    }

    /// The bits of inner traffic classes that outer headers to a network's peer get.
    @inline(__always)
    func copiedClass(to network: NetworkView) -> UInt8 { copiedDSCP | network.copiedECN }

    /// Lowers the segment size that a packet says, if it begins a TCP connection, to what goes through the tunnel whole.
    @inline(__always)
    func limitSegments(in packet: inout MutableRawSpan, _ family: IPAddress.Family, _ network: NetworkView) {
        guard MaximumSegmentSize.mayBeSaid(in: packet.bytes, family) else { return }
        MaximumSegmentSize.lower(
            in: &packet, family, mtu: min(network.longestPacket, engine.overlayMTU.load(ordering: .relaxed)))
    }

    /// Counts a drop in the engine's books, and in the network's where one is known.
    @inline(__always)
    func count(_ reason: DropReason, _ network: CounterBlocks.View?, packets: Int = 1) {
        totals.add(UInt64(packets), to: reason, lane: index)
        network?.add(UInt64(packets), to: reason, lane: index)
    }

    @inline(__always)
    func count(_ amount: Int, _ counter: Counter, _ network: CounterBlocks.View) {
        totals.add(UInt64(amount), to: counter, lane: index)
        network.add(UInt64(amount), to: counter, lane: index)
    }
}
