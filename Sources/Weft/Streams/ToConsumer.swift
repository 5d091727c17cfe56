// SPDX-License-Identifier: Apache-2.0

/// Datagrams of one kind that leave the data plane towards who takes that kind, copied one behind the other.
///
/// They say from which address they came, never from which peer: nothing about them is authentic.
public struct ToConsumer: ~Copyable, Sendable {
    public struct Datagram: BitwiseCopyable, Sendable {
        /// The whole datagram, in ``ToConsumer/arena``.
        public let place: PacketRange
        public let identification: Identification
        public let source: Endpoint
        /// Which of our addresses it was sent to; an answer leaves from it.
        public let local: IPAddress?
        /// Which transport it came by; an answer goes back by the same.
        public let transport: TransportID
    }

    public private(set) var arena: PacketArena
    public private(set) var datagrams: FixedArray<Datagram>
    private var end = 0

    /// - Parameters:
    ///   - capacity: datagrams that it holds.
    ///   - room: bytes that they share.
    public init(capacity: Int = 256, room: Int = 512 * 1024) {
        arena = PacketArena(capacity: room)
        datagrams = FixedArray(capacity: capacity)
    }

    /// As much room as another's.
    init(matching other: borrowing ToConsumer) {
        self.init(capacity: other.datagrams.capacity, room: other.arena.capacity)
    }

    public mutating func removeAll() {
        datagrams.removeAll()
        end = 0
    }

    /// A datagram's bytes, from its first.
    public subscript(index: Int) -> RawSpan {
        @_lifetime(borrow self)
        get { arena.bytes.extracting(datagrams[index].place.range) }
    }

    /// Copies a datagram; false where there is no room for it.
    mutating func append(
        _ bytes: RawSpan, from source: Endpoint, to local: IPAddress?, by transport: TransportID
    ) -> Bool {
        guard !datagrams.isFull, arena.capacity - end >= bytes.byteCount else { return false }
        let start = end
        var room = arena.mutableBytes
        room.copy(bytes, to: start)
        datagrams.append(
            Datagram(
                place: PacketRange(offset: start, count: bytes.byteCount), identification: Identification(of: bytes),
                source: source, local: local, transport: transport))
        end += bytes.byteCount
        return true
    }
}
