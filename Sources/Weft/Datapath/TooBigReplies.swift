// SPDX-License-Identifier: Apache-2.0

/// Tells inner senders that their packets don't fit, a thousand times a second at most.
struct TooBigReplies: ~Copyable {
    private var message = PacketArena(capacity: PacketTooBig.maximumLength)
    private var limit = WindowLimit(perSecond: 1000)

    mutating func reply(
        to packet: RawSpan, _ run: ToUnderlay.Run, _ underlay: any UnderlaySender, _ overlay: any OverlaySender,
        _ now: Instant
    ) {
        let endpoint = run.destination
        guard limit.admits(at: now) else { return }
        var inner = run.longestPacket
        if !run.isTooLong {
            guard let mtu = underlay.pathMTU(to: endpoint) else { return }
            inner = TunnelMTU.inner(underlay: mtu, family: endpoint.address.family)
        }
        var output = message.mutableBytes
        guard let length = PacketTooBig.write(for: packet, mtu: inner, into: &output) else { return }
        // Lost like any ICMP message when the overlay has no room.
        _ = overlay.send(message.bytes.extracting(0..<length))
    }
}
