// SPDX-License-Identifier: Apache-2.0

/// One thing to fuzz.
struct Target {
    let name: String
    /// Inputs to begin with.
    let seeds: () throws -> [[UInt8]]
    /// Sets up what one run of the fuzzer shares, and gives what to do with each input.
    let make: () throws -> (RawSpan) -> Void

    /// A target that shares nothing.
    init(_ name: String, seeds: @escaping () throws -> [[UInt8]], _ run: @escaping (RawSpan) -> Void) {
        self.init(name, seeds: seeds, make: { run })
    }

    init(_ name: String, seeds: @escaping () throws -> [[UInt8]], make: @escaping () throws -> (RawSpan) -> Void) {
        self.name = name
        self.seeds = seeds
        self.make = make
    }
}

/// Every target; a parser is one line. A target checks what must hold for every input with ``check(_:_:)``.
var targets: [Target] {
    [
        Target("decapsulate-frame", seeds: Decapsulate.frameSeeds) { try Decapsulate(.frame).run },
        Target("decapsulate-datagram", seeds: Decapsulate.datagramSeeds) { try Decapsulate(.datagram).run },
        Target("encapsulate-packet", seeds: EncapsulatePacket.seeds) { try EncapsulatePacket().run },
        Target("encapsulate-frame", seeds: EncapsulateFrame.seeds) { try EncapsulateFrame().run },
        Target("packet-too-big", seeds: TooBig.seeds, TooBig.run),
        Target("identify", seeds: Identify.seeds, Identify.run),
        Target("stun-message", seeds: STUNMessages.seeds, STUNMessages.run),
        Target("captured-frame", seeds: CapturedFrames.seeds, CapturedFrames.run),
        Target("addresses", seeds: Addresses.seeds, Addresses.run),
        Target("cut-superpacket", seeds: Cut.seeds) { try Cut().run },
        Target("join-segments", seeds: Join.seeds, Join.run),
        Target("segment-size", seeds: SegmentSizes.seeds, SegmentSizes.run),
        Target("tunnel-file", seeds: TunnelFiles.seeds, TunnelFiles.run),
        Target("file-tree", seeds: FileTrees.seeds) { try FileTrees().run },
        Target("key-state", seeds: KeyStates.seeds, KeyStates.run),
        Target("probe-message", seeds: Probes.seeds, Probes.run),
        Target("map-file", seeds: MapFiles.seeds, MapFiles.run),
        Target("fleet-value", seeds: FleetValues.seeds, FleetValues.run),
        Target("etcd-watch", seeds: EtcdWatches.seeds, EtcdWatches.run),
        Target("control-message", seeds: ControlMessages.seeds, ControlMessages.run),
        Target("first-message", seeds: FirstMessages.seeds, FirstMessages.run),
        Target("ratchet-exchange", seeds: RatchetExchanges.seeds) { try RatchetExchanges().run },
        Target("connection-tags", seeds: Tags.seeds, Tags.run),
        Target("key-file", seeds: KeyFiles.seeds, KeyFiles.run),
        Target("netlink-answer", seeds: NetlinkAnswers.seeds, NetlinkAnswers.run),
        Target("resolver-file", seeds: NameFiles.seeds, NameFiles.resolvers),
        Target("hosts-file", seeds: NameFiles.seeds, NameFiles.hosts),
        Target("dns-answer", seeds: DNSAnswers.seeds) { try DNSAnswers().run },
        Target("socks5-message", seeds: SOCKS5Messages.seeds, SOCKS5Messages.run),
        Target("overlay-answer", seeds: OverlayAnswers.seeds, OverlayAnswers.run),
        Target("pair-records", seeds: PairRecords.seeds, PairRecords.run),
        Target("quic-frames", seeds: Frames.seeds, Frames.run),
        Target("quic-datagram", seeds: Sessions.seeds) { try Sessions().run },
    ]
}

/// Ends the process when a property doesn't hold, so that the fuzzer keeps the input.
@inline(__always)
func check(_ holds: Bool, _ what: @autoclosure () -> String, line: UInt = #line) {
    guard !holds else { return }
    fail("property at line \(line): \(what())")
}
