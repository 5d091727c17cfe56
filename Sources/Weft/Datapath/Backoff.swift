// SPDX-License-Identifier: Apache-2.0

/// What a pump does when a transport's read fails: it waits a little longer each time, and gives up after 16 failures
/// in a row, rather than spin.
struct Backoff {
    static let limit = 16
    /// Milliseconds.
    private static let step: Int32 = 10
    private static let longest: Int32 = 1000

    private(set) var failures = 0

    mutating func succeeded() { failures = 0 }

    /// Milliseconds to wait after the failures so far.
    var delay: Int32 { min(Int32(failures) * Self.step, Self.longest) }

    /// Waits, or returns at once when the data path is being closed.
    /// - Throws: the error, when it is one too many.
    mutating func failed(_ error: TransportError, _ wake: WakeEvent) throws(DatapathError) {
        failures += 1
        guard failures < Self.limit else { throw .transport(error) }
        do throws(TransportError) {
            _ = try wake.wait(for: -1, events: 0, timeout: delay)
        } catch {
            throw .transport(error)
        }
    }
}

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
