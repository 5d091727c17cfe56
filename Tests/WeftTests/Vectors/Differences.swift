// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// Where Weft differs from the original implementation on purpose. Everything else must match.
enum Differences {
    /// The original's drop counters and the reasons of ours that they may be. Five map one to one; the others gather
    /// cases that Weft tells apart, or checks earlier.
    static let reasons: [String: [DropReason]] = [
        "RXReplayDrops": [.replayed],
        "RXDropsBadPeer": [.wrongUnderlaySource],
        "RXDropsSPIMismatch": [.spiMismatch],
        "RXInvalidSrc": [.innerSourceNotAllowed],
        "RXInvalidDst": [.innerDestinationNotAllowed],
        "RXDropsExpiredKey": [.receiveKeyExpired],
        "RXDropsRateLimited": [.rateLimited],
        // Options that the original reads as SPI 0 are an error of the header to Weft.
        "RXDropsNoKey": [.noReceiveKey, .geneveOptions, .geneveCriticalOption],
        // What can't be what was sealed fails earlier, where the header shows it.
        "RXDecryptErrors": [
            .authenticationFailed, .geneveOptions, .geneveCriticalOption, .datagramTruncated,
        ],
        "TXErrors": [
            .noTransmitKey, .transmitKeyExpired, .countersExhausted, .noRoom, .noUnderlayAddress,
        ],
    ]

    /// Frames that the original drops, since it parses two options only, and Weft opens: the extra option isn't critical
    /// and the whole header is authenticated. Without `l2_` or `l3_` in front.
    static let opened: Set<String> = ["geneve_third_option", "geneve_unknown_first_then_two"]

    static func isOpened(_ name: String) -> Bool { opened.contains(String(name.dropFirst(3))) }

    /// Why Weft drops a received frame, whatever the original does with it. Written from the standards, byte by byte,
    /// without the code under test; nil where nothing is wrong with the frame's headers.
    ///
    /// - Parameter inner: what the original handed to the overlay, without an Ethernet header; empty if nothing.
    static func dropped(_ frame: [UInt8], by receiver: Handler, inner: [UInt8]) -> DropReason? {
        func word(_ offset: Int) -> Int { Int(frame[offset]) << 8 | Int(frame[offset + 1]) }
        guard frame.count >= 34, [0x0800, 0x86DD].contains(word(12)) else { return nil }
        let isV4 = word(12) == 0x0800
        let ip = 14
        let udp = isV4 ? ip + Int(frame[ip] & 15) * 4 : 54
        guard frame.count >= udp + 8, udp >= 34 else { return nil }
        let end = isV4 ? ip + word(16) : udp + word(18)
        guard end <= frame.count, end >= udp + 8 else { return nil }
        guard frame[ip] >> 4 == (isV4 ? 4 : 6), frame[isV4 ? 23 : 20] == 17 else { return .outerMalformed }
        if isV4 {
            // RFC 1122 section 3.2.1.2: a datagram with a bad header checksum MUST be discarded.
            var sum = stride(from: ip, to: udp, by: 2).reduce(0) { $0 + word($1) }
            while sum > 0xFFFF { sum = (sum & 0xFFFF) + (sum >> 16) }
            if sum != 0xFFFF { return .outerChecksum }
            // A fragment's payload isn't a datagram.
            if word(20) & 0x3FFF != 0 { return .outerFragment }
        }
        // Of two contradicting lengths neither can be believed.
        if word(udp + 4) != end - udp { return .outerMalformed }
        // RFC 1122 section 4.1.3.1: a datagram for another port isn't ours.
        if word(udp + 2) != Int(receiver.local.port) { return .notForUs }
        // RFC 1122 section 3.2.1.3: a datagram for another host MUST be discarded.
        let destination = isV4 ? Array(frame[30..<34]) : Array(frame[38..<54])
        if IPAddress(receiver.local.addr)?.bytes != destination { return .notForUs }
        let geneve = udp + 8
        guard end - geneve >= 8 else { return nil }
        // RFC 8926 section 3.4: an unknown version MUST be dropped; a control packet's payload MUST NOT be forwarded.
        if frame[geneve] >> 6 != 0 { return .geneveVersion }
        if frame[geneve + 1] & 0x80 != 0 { return .geneveControl }
        // RFC 8926 section 3.4: options that don't fill the option length make the header malformed.
        var option = geneve + 8
        let options = option + Int(frame[geneve] & 0x3F) * 4
        guard options <= end else { return nil }
        while option < options {
            guard option + 4 <= options else { return .geneveOptions }
            option += 4 + Int(frame[option + 3] & 0x1F) * 4
        }
        if option != options { return .geneveOptions }
        guard let first = inner.first else { return nil }
        // RFC 8926 section 3.4: the protocol type says what is inside.
        if word(geneve + 2) != (first >> 4 == 4 ? 0x0800 : 0x86DD) { return .innerMalformed }
        if first >> 4 == 4 {
            // RFC 791 section 3.1: a header has at least 20 bytes, and the total length can't exceed the packet.
            let total = Int(inner[2]) << 8 | Int(inner[3])
            if first & 15 < 5 || total > inner.count || Int(first & 15) * 4 > total { return .innerMalformed }
        } else if 40 + (Int(inner[4]) << 8 | Int(inner[5])) > inner.count {
            // RFC 8200 section 3: nor can the payload length.
            return .innerMalformed
        }
        return nil
    }

    /// Frames from the overlay that Weft drops before it takes a counter, where the original burns one.
    static let burnsNoCounter: Set<String> = ["phy_buffer_v6_short", "phy_buffer_-1", "family_mismatch"]

    /// Requests that the original answers and Weft doesn't.
    static let notAnswered: [String: String] = [
        "arp_probe_rfc5227": "RFC 5227: an answer to a probe makes duplicate address detection fail",
        "arp_gratuitous": "RFC 5227: an announcement asks for nothing",
        "nd_dad": "RFC 4862: an answer makes duplicate address detection fail",
        "nd_bad_icmp_checksum": "RFC 4861 section 7.1.1: the checksum must be valid",
        "nd_multicast_target": "RFC 4861 section 7.1.1: the target must not be multicast",
    ]

    /// Flow hashes: a fragment is hashed without ports, so that all of a packet's fragments hash alike.
    static func hashesDifferently(_ name: String) -> Bool { name.contains("udp4_later_fragment") }
}
