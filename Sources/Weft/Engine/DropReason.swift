// SPDX-License-Identifier: Apache-2.0

/// Why a packet went no further. Each dropped packet has exactly one reason.
///
/// The case names are the words everywhere: in counters, `weft show`, `--json`, the log and the help.
public enum DropReason: UInt8, Error, Hashable, Sendable, CaseIterable {
    // From the overlay, towards the underlay.
    case overlayMalformed
    case overlayNotIP
    case neighborNotAnswered
    case offloadMalformed
    case noRoute
    case noTransmitKey
    case transmitKeyExpired
    case countersExhausted
    case transmitKeyShared
    case noUnderlayAddress
    case noRoom
    case tooLongForUnderlay
    case underlayRefused

    // From the underlay, towards the overlay, in the order of the checks.
    case outerMalformed
    case outerChecksum
    case outerFragment
    case notForUs
    case controlNotTagged
    case controlOverLimit
    case controlNotTaken
    case stunNotTaken
    case discoNotTaken
    case wireGuardNotTaken
    case unknownNotTaken
    case datagramTruncated
    case geneveVersion
    case geneveControl
    case geneveOptions
    case geneveCriticalOption
    case unknownVNI
    case wrongUnderlaySource
    case noReceiveKey
    case receiveKeyExpired
    case spiMismatch
    case rateLimited
    case failuresLimited
    case authenticationFailed
    case sealedWithOurKey
    case replayed
    case innerSourceNotAllowed
    case innerDestinationNotAllowed
    case innerMalformed
    case ceOnNotECT
    case noOverlayRoom
    case overlayRefused

    /// One sentence for an operator: what happened and what to look at.
    public var explanation: String {
        switch self {
        case .overlayMalformed: "the overlay sent something that is not a whole IP packet"
        case .overlayNotIP: "the overlay sent a frame that is neither IP nor answered locally (layer 2 mode only)"
        case .neighborNotAnswered: "an ARP or neighbour request asks about the sender's own address, or is not valid"
        case .offloadMalformed: "the overlay's offload header contradicts its packet"
        case .noRoute: "no peer's AllowedIPs and our LocalIPs match the packet's addresses"
        case .noTransmitKey: "there is no key to send with yet"
        case .transmitKeyExpired: "the key to send with has expired"
        case .countersExhausted:
            "the transmit key has sealed all it may (2^36 packets), or the state file could not be advanced"
        case .transmitKeyShared:
            "another host seals with our SendKey: exchange SendKey and ReceiveKey at one end, and give both ends new keys"
        case .noUnderlayAddress: "the peer has no endpoint, or we have no address of its family"
        case .noRoom: "the packet does not fit into the buffer, or the frame, it was to be sealed into"
        case .tooLongForUnderlay: "the sealed packet exceeds the underlay's MTU; lower the tunnel's MTU"
        case .underlayRefused: "the kernel did not take the datagram (no route, no buffer, a firewall)"
        case .outerMalformed: "the underlay frame's Ethernet, IP or UDP header is broken"
        case .outerChecksum: "the underlay frame's IPv4 header checksum is wrong"
        case .outerFragment: "the underlay frame is a fragment"
        case .notForUs: "the underlay frame is for another address or port"
        case .controlNotTagged: "a QUIC datagram of a stranger: nothing in it shows that it knows our public key"
        case .controlOverLimit: "a QUIC call or reset beyond what one source, or all together, may send a second"
        case .controlNotTaken: "a QUIC datagram: nobody here takes them, or who does is too slow"
        case .stunNotTaken: "a STUN message: nobody here takes them, or who does is too slow"
        case .discoNotTaken: "a disco packet: nobody here takes them, or who does is too slow"
        case .wireGuardNotTaken: "a WireGuard packet: nobody here takes them, or who does is too slow"
        case .unknownNotTaken: "a datagram of no protocol that is known here"
        case .datagramTruncated: "the datagram ends before its headers do, or is larger than any we expect"
        case .geneveVersion: "the datagram is not Geneve version 0"
        case .geneveControl: "the Geneve header says control message"
        case .geneveOptions: "the Geneve options are missing, repeated or of a wrong length"
        case .geneveCriticalOption: "the Geneve header has a critical option that is unknown here"
        case .unknownVNI:
            "no virtual network here has the datagram's VNI: after a restart peers send under the session before for a moment"
        case .wrongUnderlaySource: "the datagram is not from the peer's endpoint (CheckSource)"
        case .noReceiveKey: "no key here has the datagram's SPI: the two ends' keys or epochs differ"
        case .receiveKeyExpired: "the key to receive with has expired"
        case .spiMismatch: "the nonce's SPI differs from the header's"
        case .rateLimited: "the peer sends more datagrams than RateLimit allows"
        case .failuresLimited:
            "so many of this source's datagrams were no good that no more are tried for now (RateLimit)"
        case .authenticationFailed: "the tag is wrong: another key, or altered on the way"
        case .sealedWithOurKey:
            "it opens with the key that we send with: both ends have the same SendKey, or somebody sends our own packets back"
        case .replayed: "the counter was seen before or is too old"
        case .innerSourceNotAllowed: "the inner source is not within the peer's AllowedIPs"
        case .innerDestinationNotAllowed: "the inner destination is not within our LocalIPs"
        case .innerMalformed: "the inner packet contradicts its own lengths or the header's protocol"
        case .ceOnNotECT:
            "a router marked congestion (CE) outside, and the inner sender knows no marks (Not-ECT), only losses (RFC 6040)"
        case .noOverlayRoom: "the opened packet does not fit into the buffer it was to be opened into"
        case .overlayRefused: "the overlay device did not take the packet (down, full or gone)"
        }
    }
}

extension DropReason {
    /// Whether the packet came from the overlay; else it came from the underlay.
    public var isFromOverlay: Bool { rawValue <= DropReason.underlayRefused.rawValue }

    /// Whether a transport refused the packet when the engine was done with it: it was counted as sealed or opened
    /// before.
    public var isTransportRefusal: Bool {
        switch self {
        case .tooLongForUnderlay, .underlayRefused, .overlayRefused: true
        default: false
        }
    }
}
