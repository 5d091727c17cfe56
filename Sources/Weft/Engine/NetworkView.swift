// SPDX-License-Identifier: Apache-2.0

/// A virtual network as the packet path sees it: plain bits, so that looking at it counts no references.
///
/// The snapshot that it came from keeps everything behind it alive.
@safe
struct NetworkView: BitwiseCopyable {
    let id: NetworkID
    let endpoint: Endpoint?
    /// Which of our addresses datagrams to it leave from; nil for the kernel's choice.
    let local: IPAddress?
    /// How whole frames get there; nil while that isn't known.
    let path: Path?
    let checksUnderlaySource: Bool
    let counters: CounterBlocks.View
    /// What the peer may send from, as far as the peer's own routes say.
    private(set) var allowedSources: AddressSet.View
    /// Whether the route table has to be asked for each packet, too.
    private(set) var asksRoutes: Bool
    let allowedDestinations: AddressSet.View
    let transmit: Transmit?
    /// The newest first.
    let receive: BorrowedArray<Receive>
    private let rateLimit: Unmanaged<RateLimit>?
    private let paths: Unmanaged<PathInbox>
    private let terms: Unmanaged<PathTerms>

    init(_ network: VirtualNetwork, receive: BorrowedArray<Receive>) {
        id = network.configuration.id
        endpoint = network.configuration.endpoint
        local = network.configuration.localAddress
        path = network.path
        checksUnderlaySource = network.configuration.checksUnderlaySource
        // Safe, as are those below: the network owns what the views show, and the snapshot owns the network.
        counters = unsafe network.counters.view
        allowedSources = unsafe network.allowedSources.view
        allowedDestinations = unsafe network.allowedDestinations.view
        asksRoutes = network.asksRoutes
        transmit = network.transmit.map { Transmit($0) }
        self.receive = receive
        unsafe paths = Unmanaged.passUnretained(network.paths)
        unsafe terms = Unmanaged.passUnretained(network.terms)
        unsafe rateLimit = network.rateLimit.map { unsafe Unmanaged.passUnretained($0) }
    }

    /// Has the peer send from what other networks leave it.
    @unsafe
    mutating func restrict(to permit: borrowing CryptokeyRouting.Permit) {
        allowedSources = unsafe permit.sources.view
        asksRoutes = asksRoutes || permit.asksRoutes
    }

    /// Which receive SA a datagram names by its VNI and SPI; the newest where several bear both.
    @inline(__always)
    func receiveIndex(vni: UInt32, spi: UInt32) -> Int? {
        let name = Receive.name(vni: vni, spi: spi)
        for index in receive.indices where receive[index].name == name { return index }
        return nil
    }

    /// Fetches what sealing will look at and change.
    @inline(__always)
    func prefetchForSealing(lane: Int) {
        transmit?.prefetch()
        counters.prefetch(lane: lane)
    }

    /// Fetches what opening will look at and change.
    @inline(__always)
    func prefetchForOpening(lane: Int) {
        receive.prefetch(0)
        counters.prefetch(lane: lane)
    }

    /// As ``RateLimit/refusal(of:at:)``.
    @inline(__always)
    func refusal(of source: IPAddress, at now: Instant) -> DropReason? {
        guard let rateLimit = unsafe rateLimit else { return nil }
        return unsafe rateLimit._withUnsafeGuaranteedRef { $0.refusal(of: source, at: now) }
    }

    /// As ``RateLimit/admits(from:at:)``.
    @inline(__always)
    func admits(from source: @autoclosure () -> IPAddress, at now: Instant) -> Bool {
        guard let rateLimit = unsafe rateLimit else { return true }
        let source = source()
        return unsafe rateLimit._withUnsafeGuaranteedRef { $0.admits(from: source, at: now) }
    }

    /// As ``RateLimit/failed(from:at:)``.
    @inline(__always)
    func failed(from source: IPAddress, at now: Instant) {
        guard let rateLimit = unsafe rateLimit else { return }
        unsafe rateLimit._withUnsafeGuaranteedRef { $0.failed(from: source, at: now) }
    }

    /// The longest inner packet that goes whole.
    @inline(__always)
    var longestPacket: Int { unsafe terms._withUnsafeGuaranteedRef { $0.longestPacket } }

    /// The bits of inner traffic classes that outer headers get for ECN.
    @inline(__always)
    var copiedECN: UInt8 { unsafe terms._withUnsafeGuaranteedRef { $0.copiedECN } }

    /// A probe came.
    func note(_ probe: PathProbe, from place: AddressPair, _ list: PathNewsList) {
        unsafe paths._withUnsafeGuaranteedRef { $0.put(probe, from: place, list) }
    }

    /// The peer was seen elsewhere than at its endpoint.
    func see(_ place: AddressPair, _ list: PathNewsList) {
        unsafe paths._withUnsafeGuaranteedRef { $0.see(place, list) }
    }

    /// The way of whole frames to the endpoint.
    struct Path: BitwiseCopyable {
        let local: IPAddress
        let localMAC: MACAddress
        let nextHopMAC: MACAddress
    }

    @safe
    struct Transmit: BitwiseCopyable {
        let vni: UInt32
        let spi: UInt32
        let expiry: Instant
        let key: PacketKey.Reference
        private let association: Unmanaged<TransmitSA>

        init(_ association: TransmitSA) {
            vni = association.vni
            spi = association.spi
            expiry = association.expiry
            unsafe key = association.key.reference
            unsafe self.association = Unmanaged.passUnretained(association)
        }

        /// Fetches what the cipher will read of the key.
        @inline(__always)
        func prefetchKey() { unsafe key.prefetch() }

        /// Fetches the SA's counter.
        @inline(__always)
        func prefetch() { unsafe Cache.prefetch(association.toOpaque(), count: 2 * Cache.line) }

        /// As ``CarriedKey/mayTry(at:)``; false for keys that were agreed on.
        func mayTry(at now: Instant) -> Bool {
            unsafe association._withUnsafeGuaranteedRef { $0.carried?.mayTry(at: now) ?? false }
        }

        /// Seals nothing more if a counter that somebody has sealed with isn't ours.
        func stop(unlessOurs counter: UInt64) {
            unsafe association._withUnsafeGuaranteedRef { if $0.isForeign(counter) { $0.stop() } }
        }

        /// Why there are no counters.
        var lackOfCounters: DropReason {
            unsafe association._withUnsafeGuaranteedRef { $0.isStopped ? .transmitKeyShared : .countersExhausted }
        }

        /// As ``TransmitSA/reserve(_:)``.
        @inline(__always)
        func reserve(_ count: Int) -> Range<UInt64> {
            unsafe association._withUnsafeGuaranteedRef { $0.reserve(count) }
        }
    }

    @safe
    struct Receive: BitwiseCopyable {
        /// As ``name(vni:spi:)`` has it.
        let name: UInt64
        let key: PacketKey.Reference
        private let association: Unmanaged<ReceiveSA>

        init(_ association: ReceiveSA) {
            name = Self.name(vni: association.vni, spi: association.spi)
            unsafe key = association.key.reference
            unsafe self.association = Unmanaged.passUnretained(association)
        }

        /// VNI and SPI in one number.
        @inline(__always)
        static func name(vni: UInt32, spi: UInt32) -> UInt64 { UInt64(vni) << 32 | UInt64(spi) }

        @inline(__always)
        var expiry: Instant { unsafe association._withUnsafeGuaranteedRef { $0.expiry } }

        /// Fetches what the cipher will read of the key, and the SA's expiry and the beginning of its window.
        @inline(__always)
        func prefetch() {
            unsafe Cache.prefetch(association.toOpaque(), count: 3 * Cache.line)
            unsafe key.prefetch()
        }

        /// Holds the SA's replay window while `body` runs.
        @inline(__always)
        func withWindow(_ body: (inout ReplayWindow) -> Void) {
            unsafe association._withUnsafeGuaranteedRef { association in
                association.window.withLock { (window: inout sending ReplayWindow) in body(&window) }
            }
        }
    }
}
