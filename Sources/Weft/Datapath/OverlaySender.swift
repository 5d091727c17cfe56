// SPDX-License-Identifier: Apache-2.0

/// Where opened packets go. An end of a queue: used by one thread at a time.
public protocol OverlaySender: AnyObject, Sendable {
    /// Writes groups of packets that lie in `arena`, in order, each as one superpacket where the transport can; calls
    /// `failed` with the index of each group that was not taken whole, and how many of its packets were not.
    func send(
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena,
        failed: (_ group: Int, _ packets: Int, SendFailure) -> Void)

    /// Writes one packet of our own making, such as an ICMP message.
    func send(_ packet: RawSpan) -> SendFailure?
}
