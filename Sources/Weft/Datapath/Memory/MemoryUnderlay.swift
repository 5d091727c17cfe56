// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// One end of an underlay in memory, which loses, repeats and reorders datagrams on demand.
public final class MemoryUnderlay: UnderlayReceiver, UnderlaySender {
    /// What happens to datagrams on their way, each with a probability from 0 to 1.
    public struct Impairments: Sendable {
        public var loss: Double
        public var duplication: Double
        /// A datagram is held back and sent after the next one.
        public var reordering: Double
        /// Bytes of datagram; longer ones are refused as too long.
        public var largestDatagram: Int
        /// Makes the choices repeatable.
        public var seed: UInt64

        public init(
            loss: Double = 0, duplication: Double = 0, reordering: Double = 0, largestDatagram: Int = 65_507,
            seed: UInt64 = 1
        ) {
            self.loss = loss
            self.duplication = duplication
            self.reordering = reordering
            self.largestDatagram = largestDatagram
            self.seed = seed
        }
    }

    private struct Wire {
        var state: UInt64
        var heldBack: [UInt8]?

        /// SplitMix64, as a number from 0 to 1.
        mutating func chance() -> Double {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return Double((mixed ^ (mixed >> 31)) >> 11) / Double(1 << 53)
        }
    }

    private let incoming: MemoryQueue
    private let outgoing: MemoryQueue
    private let peer: Endpoint
    private let impairments: Impairments
    private let wire: Mutex<Wire>
    private let wake: WakeEvent

    private init(
        _ incoming: MemoryQueue, _ outgoing: MemoryQueue, peer: Endpoint, _ impairments: Impairments, _ wake: WakeEvent
    ) {
        self.incoming = incoming
        self.outgoing = outgoing
        self.peer = peer
        self.impairments = impairments
        wire = Mutex(Wire(state: impairments.seed))
        self.wake = wake
    }

    /// Two ends that are joined, at two addresses; each has its data path's wake event.
    public static func pair(
        _ left: (Endpoint, WakeEvent), _ right: (Endpoint, WakeEvent), _ impairments: Impairments = Impairments(),
        limit: Int = 4096
    ) throws(TransportError) -> (left: MemoryUnderlay, right: MemoryUnderlay) {
        let toLeft = try MemoryQueue(limit: limit)
        let toRight = try MemoryQueue(limit: limit)
        return (
            MemoryUnderlay(toLeft, toRight, peer: right.0, impairments, left.1),
            MemoryUnderlay(toRight, toLeft, peer: left.0, impairments, right.1)
        )
    }

    public func receive(into batch: inout FromUnderlay, timeout: Int32) throws(TransportError) {
        let slotSize = batch.slotSize
        for packet in try incoming.take(batch.capacity, timeout: timeout, wake: wake) {
            let offset = batch.buffers.count * slotSize
            let count = min(packet.count, slotSize)
            var bytes = batch.arena.mutableBytes
            unsafe bytes.copy(packet.span.bytes.extracting(0..<count), to: offset)
            batch.buffers.append(
                FromUnderlay.Buffer(
                    place: PacketRange(offset: offset, count: count), source: peer,
                    isTruncated: packet.count > slotSize))
        }
    }

    public func send(
        _ batch: borrowing ToUnderlay, failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void
    ) {
        for index in 0..<batch.runs.count {
            let run = batch.runs[index]
            for start in stride(from: 0, to: run.place.count, by: run.segmentSize) {
                let offset = run.place.offset + start
                let end = offset + min(run.segmentSize, run.place.count - start)
                let datagram = batch.arena.bytes.extracting(offset..<end).copied
                if datagram.count > impairments.largestDatagram {
                    failed(index, 1, .tooLong)
                } else if !carry(datagram) {
                    failed(index, 1, .refused(ENOBUFS))
                }
            }
        }
    }

    /// Sends one datagram as the impairments will have it; false when the queue is full.
    public func carry(_ datagram: [UInt8]) -> Bool {
        wire.withLock { wire in
            if wire.chance() < impairments.loss { return true }
            if wire.heldBack == nil, wire.chance() < impairments.reordering {
                wire.heldBack = datagram
                return true
            }
            let isTaken = outgoing.append(datagram)
            // Copies and late datagrams were taken before: a full queue only loses them.
            if wire.chance() < impairments.duplication { _ = outgoing.append(datagram) }
            if let late = wire.heldBack.take() { _ = outgoing.append(late) }
            return isTaken
        }
    }

    /// Stands for an IPv4 or IPv6 path of just the MTU that the largest datagram needs.
    public func pathMTU(to endpoint: Endpoint) -> Int? {
        impairments.largestDatagram + OuterHeaders.udpLength
            + (endpoint.address.family == .v4 ? InnerPacket.v4HeaderLength : InnerPacket.v6HeaderLength)
    }
}
