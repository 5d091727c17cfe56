// SPDX-License-Identifier: Apache-2.0

/// Keys that a person carried to both ends.
public struct ManualKeys: Sendable {
    /// The SPI of both directions, 1 or above. Each installation needs a higher one.
    public var epoch: UInt32
    public var sendKey: PacketKey
    public var receiveKey: PacketKey
    /// Manual keys don't expire unless this says so.
    public var expiry: Instant
    /// Counters up to this one may have been used before, by an earlier life of this host.
    public var sentBefore: UInt64
    /// How many counters above those are left out. With a random number the other end's can be told from ours, should both have the same
    /// file.
    public var skipped: UInt64
    /// Packets that the key to send has sealed before, with whichever epoch: below 2^36, which is all that one key may.
    public var sealedBefore: UInt64
    /// The highest counter that may be used until ``Engine/raiseCounterCeiling(of:to:)``.
    public var ceiling: UInt64
    /// The highest counter received in an earlier life: all up to it count as seen.
    public var receivedBefore: UInt64

    public init(
        epoch: UInt32, sendKey: PacketKey, receiveKey: PacketKey, expiry: Instant = .distantFuture,
        sentBefore: UInt64 = 0, skipped: UInt64 = 0, sealedBefore: UInt64 = 0, ceiling: UInt64 = .max,
        receivedBefore: UInt64 = 0
    ) {
        self.epoch = epoch
        self.sendKey = sendKey
        self.receiveKey = receiveKey
        self.expiry = expiry
        self.sentBefore = sentBefore
        self.skipped = skipped
        self.sealedBefore = sealedBefore
        self.ceiling = ceiling
        self.receivedBefore = receivedBefore
    }
}

extension Engine {
    /// How long a replaced receive SA lives on, so that datagrams on their way still open.
    public static let grace = Duration.seconds(30)

    /// Installs a pair of SAs that key agreement made: receive first, so that the peer's first datagram opens.
    ///
    /// A reused SPI with a fresh key is accepted, and so is a lower one. Older receive SAs expire within ``grace``; one
    /// of the same VNI and SPI is replaced at once, or goes on with its window where the key is the same too.
    /// - Throws: for SPI 0, a VNI that another network opens under, or none where the network has none of its own, equal
    ///   keys, the SPI and key that are sending now, or ones that manual keys have sent with; nothing changes then.
    public func install(_ pair: SAPair, for network: NetworkID, at now: Instant) throws(EngineError) {
        try install(pair, for: network, at: now, sentBefore: 0)
    }

    func install(_ pair: SAPair, for network: NetworkID, at now: Instant, sentBefore: UInt64) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            let slot = try slot(of: network, in: state)
            guard !state.usedTransmitKeys.contains(pair.transmitKey.fingerprint(spi: pair.transmitSPI)) else {
                throw .transmitKeyUsedBefore(spi: pair.transmitSPI)
            }
            let transmit = TransmitSA(
                vni: try Self.vni(pair.transmitVNI, of: network), spi: pair.transmitSPI, key: pair.transmitKey,
                expiry: pair.expiry, after: sentBefore)
            let receive = ReceiveSA(
                vni: try Self.vni(pair.receiveVNI, of: network), spi: pair.receiveSPI, key: pair.receiveKey,
                expiry: pair.expiry)
            try install(transmit, receive, in: slot, at: now, of: &state)
        }
    }

    /// The VNI of an SA.
    /// - Parameter named: nil for the network's own.
    static func vni(_ named: UInt32?, of network: NetworkID) throws(EngineError) -> UInt32 {
        guard let vni = named ?? network.vni else { throw .noVNI(network) }
        guard NetworkID.vnis.contains(vni) else { throw .invalidVNI }
        return vni
    }

    /// Installs manual keys, for a network with a VNI of its own. Since they aren't bound to a VNI, an SPI and key that any
    /// network of this engine has sent with is refused everywhere in it.
    /// - Throws: as ``install(_:for:at:)``, and when the epoch doesn't rise or the key was used; nothing changes then.
    public func installManualKeys(
        _ keys: ManualKeys, for network: NetworkID, at now: Instant
    ) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            let slot = try slot(of: network, in: state)
            let vni = try Self.vni(nil, of: network)
            guard keys.epoch != 0 else { throw .zeroSPI }
            guard keys.sealedBefore < SealingLimits.packets else {
                throw .invalidKey("a key that has sealed all it may (2^36 packets)")
            }
            if let current = state.epochs[network], keys.epoch <= current {
                throw .epochNotRising(new: keys.epoch, current: current)
            }
            let fingerprint = keys.sendKey.fingerprint(spi: keys.epoch)
            guard !state.usedTransmitKeys.contains(fingerprint) else {
                throw .transmitKeyUsedBefore(spi: keys.epoch)
            }
            let used = min(keys.sentBefore, SealingLimits.counter)
            let start = used + min(keys.skipped, SealingLimits.counter - used)
            let transmit = TransmitSA(
                vni: vni, spi: keys.epoch, key: keys.sendKey, expiry: keys.expiry, after: start,
                sealedBefore: keys.sealedBefore, ceiling: keys.ceiling,
                carried: CarriedKey(usedBefore: used, start: start))
            let receive = ReceiveSA(
                vni: vni, spi: keys.epoch, key: keys.receiveKey, expiry: keys.expiry, after: keys.receivedBefore)
            try install(transmit, receive, in: slot, at: now, of: &state)
            state.epochs[network] = keys.epoch
            state.usedTransmitKeys.insert(fingerprint)
        }
    }

    private func install(
        _ transmit: TransmitSA, _ fresh: ReceiveSA, in slot: Int, at now: Instant, of state: inout State
    ) throws(EngineError) {
        guard transmit.spi != 0, fresh.spi != 0 else { throw .zeroSPI }
        guard !transmit.key.isEqual(to: fresh.key) else { throw .equalKeys }
        var edit = SnapshotEdit(state.snapshot)
        let network = edit[slot]
        if let live = network.transmit, live.spi == transmit.spi, live.key.isEqual(to: transmit.key) {
            throw .transmitKeyInUse(spi: transmit.spi)
        }
        // The same key under the same name goes on with its window, or all that it has opened could be replayed.
        var receive = fresh
        if let same = network.receive.first(where: fresh.isNamed), same.key.isEqual(to: fresh.key) {
            same.renew(until: fresh.expiry)
            receive = same
        }
        let graceEnd = now.advanced(by: Self.grace)
        let older = network.receive.filter { !$0.isNamed(as: receive) && now <= $0.expiry }
        for association in older { association.expire(by: graceEnd) }
        // Both directions in one snapshot: no lane can send before it can open the answer.
        edit[slot] = network.with(transmit: transmit, receive: [receive] + older)
        try edit.checkVNIs()
        publish(edit, in: &state)
    }

    /// Installs one direction of what key agreement made: what the peer seals opens from now on. What we seal doesn't
    /// change, and older receive SAs stay as they are until ``installTransmit(spi:key:expiry:grace:vni:for:at:)``.
    /// - Parameter vni: what the datagrams bear; nil for the network's own.
    /// - Throws: for SPI 0, a VNI as ``install(_:for:at:)`` refuses it, or the key that we send with; nothing changes then.
    public func installReceive(
        spi: UInt32, key: PacketKey, expiry: Instant, vni: UInt32? = nil, for network: NetworkID, at now: Instant
    ) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            let slot = try slot(of: network, in: state)
            guard spi != 0 else { throw .zeroSPI }
            let fresh = ReceiveSA(vni: try Self.vni(vni, of: network), spi: spi, key: key, expiry: expiry)
            var edit = SnapshotEdit(state.snapshot)
            let network = edit[slot]
            if let transmit = network.transmit, transmit.key.isEqual(to: key) { throw .equalKeys }
            let older = network.receive.filter { !$0.isNamed(as: fresh) && now <= $0.expiry }
            // What a peer can make us keep is bounded: the oldest go.
            let kept = older.prefix(Self.mostReceiveSAs - 1)
            edit[slot] = network.with(transmit: network.transmit, receive: [fresh] + kept)
            try edit.checkVNIs()
            publish(edit, in: &state)
        }
    }

    /// Installs the other direction, once the peer is known to be able to open it. All receive SAs but the newest
    /// expire within `grace`, which counts as at most ``grace``.
    /// - Parameter vni: what the datagrams bear; nil for the network's own.
    /// - Throws: for SPI 0, no VNI where the network has none of its own, or a key that opens, or the SPI and key that are sending
    ///   now; nothing changes then.
    public func installTransmit(
        spi: UInt32, key: PacketKey, expiry: Instant, grace: Duration = grace, vni: UInt32? = nil,
        for network: NetworkID, at now: Instant
    ) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            let slot = try slot(of: network, in: state)
            guard spi != 0 else { throw .zeroSPI }
            let vni = try Self.vni(vni, of: network)
            var edit = SnapshotEdit(state.snapshot)
            let network = edit[slot]
            guard !network.receive.contains(where: { $0.key.isEqual(to: key) }) else { throw .equalKeys }
            if let live = network.transmit, live.spi == spi, live.key.isEqual(to: key) {
                throw .transmitKeyInUse(spi: spi)
            }
            guard !state.usedTransmitKeys.contains(key.fingerprint(spi: spi)) else {
                throw .transmitKeyUsedBefore(spi: spi)
            }
            let graceEnd = now.advanced(by: min(grace, Self.grace))
            for association in network.receive.dropFirst() { association.expire(by: graceEnd) }
            edit[slot] = network.with(
                transmit: TransmitSA(vni: vni, spi: spi, key: key, expiry: expiry), receive: network.receive)
            publish(edit, in: &state)
        }
    }

    /// Receive SAs that a network has at most: rekeying every second holds thirty within their grace.
    static let mostReceiveSAs = 64

    /// Lets a network's transmit SA use counters up to `counter`, if it still is the one with this SPI.
    public func raiseCounterCeiling(of network: NetworkID, spi: UInt32, to counter: UInt64) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            let transmit = state.snapshot.networks[try slot(of: network, in: state)].transmit
            // A key that came in between has a mark of its own.
            if let transmit, transmit.spi == spi { transmit.raiseCeiling(to: counter) }
        }
    }

    /// Forgets expired SAs; their keys are wiped once every lane has looked at the new snapshot, within a second.
    public func sweep(at now: Instant) {
        state.withLock { state in
            var edit = SnapshotEdit(state.snapshot)
            for (slot, network) in state.snapshot.networks.enumerated() {
                let receive = network.receive.filter { now <= $0.expiry }
                let transmit = network.transmit.flatMap { now <= $0.expiry ? $0 : nil }
                guard receive.count < network.receive.count || (transmit == nil) != (network.transmit == nil) else {
                    continue
                }
                edit[slot] = network.with(transmit: transmit, receive: receive)
            }
            if !edit.isEmpty { publish(edit, in: &state) }
        }
    }
}
