// SPDX-License-Identifier: Apache-2.0

/// Where a thread of an overlay transport sends packets into the data plane: they are routed, sealed, and sent to the
/// underlay, all on this thread.
public struct FromOverlayEnd: ~Copyable {
    public let transport: OverlayTransport
    private let underlay: any UnderlaySender
    private let overlay: any OverlaySender
    private var lane: Lane
    private var datagrams: ToUnderlay
    private var tooBig = TooBigReplies()

    init(
        _ transport: OverlayTransport, _ lane: consuming Lane, underlay: any UnderlaySender,
        overlay: any OverlaySender
    ) {
        self.transport = transport
        self.lane = lane
        self.underlay = underlay
        datagrams = ToUnderlay(sourcePorts: underlay.sourcePorts)
        self.overlay = overlay
    }

    /// Sends a batch; an empty one too at least twice a second, so that replaced keys are wiped in time. The batch's
    /// packets are overwritten.
    /// - Returns: false, and nothing is taken, once the transport was removed.
    @discardableResult
    public mutating func send(_ packets: inout FromOverlay, at now: @autoclosure () -> Instant) -> Bool {
        lane.refresh()
        guard transport.isRegistered else { return false }
        guard !packets.packets.isEmpty else { return true }
        let now = now()
        datagrams.removeAll()
        lane.encapsulate(&packets, into: &datagrams, at: now)
        underlay.send(datagrams) { index, lost, failure in
            let run = datagrams.runs[index]
            lane.countDrop(failure.reason, in: run.network, packets: lost)
            if failure == .tooLong, let origin = run.origin {
                let packet = packets.arena.bytes.extracting(packets.packets[origin].place.range)
                tooBig.reply(to: packet, run, underlay, overlay, now)
            }
        }
        return true
    }
}
