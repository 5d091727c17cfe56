// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftConfig
import WeftControl
import WeftPair
import WeftPaths

/// What a running tunnel says of itself: over its socket, and to `weft show --json`. Names and units are stable.
package struct Status: Codable, Sendable {
    package struct Interface: Codable, Sendable {
        let name: String
        /// Ours, which the other ends' files name; nil where all keys are manual.
        let publicKey: String?
        let addresses: [String]
        let listenPort: UInt16
        /// The one of the host's addresses that the tunnel works with; nil for all.
        let listenAddress: String?
        /// Bytes of an inner packet.
        let mtu: Int
        /// The mark of the underlay's datagrams; 0 for none.
        let mark: UInt32
        /// The tunnel that those datagrams go through; nil for none.
        package let through: String?
        /// Whether whoever calls is answered, since an end of the first release may call.
        let answersStrangers: Bool
    }

    struct Traffic: Codable, Sendable {
        let packets: UInt64
        /// Inner bytes.
        let bytes: UInt64
        let keepAlives: UInt64
    }

    struct Association: Codable, Sendable {
        /// What its datagrams bear.
        let vni: UInt32
        let spi: UInt32
        /// Seconds; nil for a key that doesn't expire.
        let expiresIn: Double?
        /// The last counter sent, or the highest received.
        let counter: UInt64
    }

    /// How keys are agreed on with a peer.
    struct Agreement: Codable, Sendable {
        /// `connected`, `agreeing`, `dialing`, `waiting` or `listening`.
        let state: String
        /// `initiator` or `responder`.
        let role: String
        /// Seconds since keys were agreed last; nil if they never were.
        let latest: Double?
        let count: UInt64
        let failures: UInt64
        /// What went wrong since keys were agreed first.
        let lastFailure: String?
        /// Where two hosts call from that both have the peer's key; empty while that isn't so.
        let hostsWithKey: [String]
    }

    /// How the way to a peer is doing.
    struct Path: Codable, Sendable {
        /// Milliseconds.
        let roundTrip: Double
        /// Seconds since it answered last; nil where another one did.
        let latestAnswer: Double?
        /// Which of our addresses the peer is spoken to from; nil where the kernel chooses.
        let localAddress: String?
        /// Whether it has stopped to answer.
        let isSilent: Bool
        /// Bytes of the longest inner packet that is known to pass whole; nil while none is.
        let mtu: Int?
    }

    /// A name by which a peer is found.
    struct Name: Codable, Sendable {
        let host: String
        /// What it stands for, in the order in which that is called; empty until it was looked up.
        let addresses: [String]
        /// Why it can't be looked up at present; nil while it can.
        let failure: String?
    }

    struct Peer: Codable, Sendable {
        /// Nil with manual keys.
        let publicKey: String?
        /// Nil where the file gives an address, or nothing.
        let name: Name?
        let agreement: Agreement?
        /// True for a peer that has a preshared key by the file; else nil.
        let hasPresharedKey: Bool?
        /// What the newest datagrams that come bear; nil until keys say it.
        let vni: UInt32?
        let endpoint: String?
        /// Nil for a peer that answers no probes, and before the first answer.
        let path: Path?
        /// The link-layer address that frames are sent to (AF_XDP); nil while the kernel sends datagrams.
        let nextHop: String?
        let allowedIPs: [String]
        /// What outer headers take of ECN: `normal` or `compatibility` (RFC 6040).
        let ecn: String
        /// Seconds between keep-alives; nil for none.
        let persistentKeepalive: UInt16?
        /// Seconds since the last authentic datagram; nil before the first.
        let latestReceive: Double?
        let rx: Traffic
        let tx: Traffic
        let send: Association?
        /// True where nothing is sent any more, since another host seals with the same SendKey; else nil.
        let sendKeyIsShared: Bool?
        /// The newest first.
        let receive: [Association]
        /// By reason; those without a drop are left out.
        let drops: [String: UInt64]
    }

    /// The books of the whole tunnel, whose sums must be equal, drops by a transport apart: `fromOverlay` = `tx` - its
    /// keep-alives + `localReplies` + the drops towards the underlay, `fromUnderlay` = `rx` + `streams` + the drops
    /// towards the overlay.
    struct Totals: Codable, Sendable {
        let fromOverlay: UInt64
        let toUnderlay: UInt64
        let fromUnderlay: UInt64
        let toOverlay: UInt64
        let rx: Traffic
        let tx: Traffic
        /// Datagrams of other kinds than data that went to who takes them, by kind; kinds without one are left out.
        let streams: [String: UInt64]
        /// ARP requests and neighbour solicitations that the tunnel answered itself; none with TUN.
        let localReplies: UInt64
        let drops: [String: UInt64]
    }

    /// What agrees on keys: a process of its own, and the one that starts it.
    struct ControlProcess: Codable, Sendable {
        /// Nil while none runs.
        let processID: Int32?
        let spawnerID: Int32?
        /// Seconds since it began to work; nil while it doesn't.
        let uptime: Double?
        /// How many have ended since the tunnel came up.
        let ends: UInt64
        /// Why the last one ended.
        let lastEnd: String?
        /// Seconds.
        let lastEndAge: Double?
        /// What found no room on its way to it.
        let dropped: UInt64
        /// What it asked for that wasn't its to ask.
        let refused: UInt64
    }

    struct RefusedCall: Codable, Sendable {
        let name: String
        let count: UInt64
    }

    let version: String
    package let processID: Int32
    /// Nil where all keys are manual.
    let control: ControlProcess?
    /// System calls that were refused to the process that carries data; none while all is well.
    let refusedCalls: [RefusedCall]
    /// What is wrong at present, in words.
    let complaints: [String]
    /// Seconds.
    let uptime: Double
    package let interface: Interface
    let driver: String
    /// What the driver counts beside the packets' totals; empty for TUN.
    let driverCounters: [String: UInt64]
    let cipher: String
    let peers: [Peer]
    /// Nil unless it is a key server.
    let keyServer: KeyServerStatus?
    /// Nil where the file names no STUN server and the responder is off.
    package let stun: STUNStatus?
    /// What became of what the tunnel put into the host.
    package let host: HostStatus
    let totals: Totals
}

extension Status.Traffic {
    init(receivedBy statistics: Statistics) {
        self.init(
            packets: statistics.rxPackets, bytes: statistics.rxBytes, keepAlives: statistics.rxOutOfBand)
    }

    init(sentBy statistics: Statistics) {
        self.init(
            packets: statistics.txPackets, bytes: statistics.txBytes, keepAlives: statistics.txKeepAlives)
    }
}

extension Status.Peer {
    init(
        _ peer: PeerConfiguration, _ network: NetworkStatus, _ control: PeerStatusRecord?, _ found: NameStatusRecord?,
        _ path: PathStatus?,
        at now: Instant
    ) {
        name = peer.endpointName.map {
            .init(host: $0.host, addresses: found?.addresses.map(\.description) ?? [], failure: found?.failure)
        }
        publicKey = peer.publicKey?.description
        agreement = control.map { status in
            .init(
                state: status.state.rawValue, role: "\(status.role)",
                latest: status.lastAgreement.map { now.seconds(since: $0) }, count: status.agreements,
                failures: status.failures, lastFailure: status.lastFailure,
                hostsWithKey: status.hostsWithKey.map(\.description))
        }
        hasPresharedKey = peer.presharedKey == nil ? nil : true
        vni = network.vni
        endpoint = network.endpoint?.description
        self.path = path.flatMap { Status.Path($0, at: now) }
        nextHop = network.nextHop?.description
        allowedIPs = peer.allowedIPs.map(\.description)
        ecn = "\(network.ecn)"
        persistentKeepalive = peer.persistentKeepalive
        latestReceive = network.statistics.lastReceive.map { now.seconds(since: $0) }
        rx = .init(receivedBy: network.statistics)
        tx = .init(sentBy: network.statistics)
        send = network.transmit.map {
            .init(
                vni: $0.vni, spi: $0.spi, expiresIn: now.secondsLeft(until: $0.expiry), counter: $0.lastCounter)
        }
        sendKeyIsShared = network.transmit?.isShared == true ? true : nil
        receive = network.receive.map {
            .init(
                vni: $0.vni, spi: $0.spi, expiresIn: now.secondsLeft(until: $0.expiry), counter: $0.highestCounter)
        }
        drops = network.statistics.dropsByName
    }
}

extension Status.Path {
    init?(_ path: PathStatus, at now: Instant) {
        guard let roundTrip = path.roundTrip else { return nil }
        self.init(
            roundTrip: roundTrip / .milliseconds(1), latestAnswer: path.lastAnswer.map { now.seconds(since: $0) },
            localAddress: path.place?.local?.description, isSilent: path.isSilent, mtu: path.mtu)
    }
}

extension Status.Totals {
    init(_ statistics: Statistics) {
        fromOverlay = statistics.fromOverlay
        toUnderlay = statistics.toUnderlay
        fromUnderlay = statistics.fromUnderlay
        toOverlay = statistics.toOverlay
        rx = .init(receivedBy: statistics)
        tx = .init(sentBy: statistics)
        streams = Dictionary(uniqueKeysWithValues: statistics.handedOver.map { ("\($0.key)", $0.value) })
        localReplies = statistics.localReplies
        drops = statistics.dropsByName
    }
}

extension Statistics {
    /// Drops under the words that people read.
    var dropsByName: [String: UInt64] {
        Dictionary(uniqueKeysWithValues: drops.map { ("\($0.key)", $0.value) })
    }
}

extension Instant {
    func seconds(since earlier: Instant) -> Double {
        nanoseconds > earlier.nanoseconds ? Double(nanoseconds - earlier.nanoseconds) / 1e9 : 0
    }

    func secondsLeft(until expiry: Instant) -> Double? {
        expiry == .distantFuture ? nil : expiry.seconds(since: self)
    }
}
