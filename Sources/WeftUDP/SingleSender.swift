// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Sends datagrams one by one from a port and never waits: for threads that move frames, and leave to the kernel what can't be one. What
/// waits for a slow line is in no other peer's way, as with ``UDPSender``.
public struct SingleSender: Sendable {
    private let sockets: SendSockets
    private let fragments: UDPSocket
    private let second: SecondPort
    private var copy = SecondPort.Copy()
    private var congestion = Congestion()

    /// - Parameters:
    ///   - fragments: of the port of `socket`.
    ///   - separate: sockets of that port that peers are parted over once one of them doesn't get rid of what it is sent.
    ///   - second: the port that datagrams to some places leave from.
    public init(_ socket: UDPSocket, fragments: UDPSocket, separate: [UDPSocket], second: SecondPort) {
        sockets = SendSockets(common: [socket], separate: separate)
        self.fragments = fragments
        self.second = second
    }

    /// - Parameters:
    ///   - local: the address of ours that it leaves from; nil for the kernel's choice.
    ///   - network: whose it is.
    ///   - isTooLong: whether the way is known not to take it whole.
    public mutating func send(
        _ datagram: RawSpan, to endpoint: Endpoint, from local: IPAddress?, trafficClass: UInt8, of network: NetworkID,
        isTooLong: Bool, at now: Instant
    ) -> SendFailure? {
        second.refresh(&copy)
        let use = copy.use.flatMap { $0.places.contains(endpoint) ? $0 : nil }
        func send(from socket: UDPSocket) -> SendFailure? {
            socket.send(datagram, to: endpoint, from: local, trafficClass: trafficClass)
        }
        if congestion.isSeparate { congestion.look(at: now) }
        var failure = SendFailure.tooLong
        if !isTooLong {
            var place = sockets.place(of: network, isSeparate: congestion.isSeparate, second: use)
            while true {
                guard let why = send(from: sockets.socket(place, second: use)) else { return nil }
                failure = why
                guard why == .isFull,
                    congestion.isFull(place, hasWaited: true, canPart: sockets.canPart, at: now) == .part
                else { break }
                place = sockets.place(of: network, isSeparate: true, second: use)
            }
        }
        guard failure == .tooLong, datagram.byteCount <= UDPSender.longestFragmented else { return failure }
        return send(from: use?.fragments ?? fragments)
    }
}

extension SendFailure {
    /// The socket's buffer is full.
    fileprivate static let isFull = SendFailure.refused(EAGAIN)
}
