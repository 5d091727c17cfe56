// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// A sending end of a UDP socket: one thread's. Several ends share a socket.
public final class UDPSender: UnderlaySender {
    private let sockets: SendSockets
    private let socket: UDPSocket
    /// Where short datagrams leave that the device can't take whole; nil where those are refused.
    private let fragments: UDPSocket?
    /// Where what goes to some places leaves from; nil where all leaves from one port.
    private let second: SecondPort?
    private let wake: WakeEvent
    private let sendMessages: MessageBuffers.Send
    private let clock: @Sendable () -> Instant
    private let pathMTU: (@Sendable (IPAddress) -> Int?)?
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var messages: MessageBuffers
        /// Which run each message is from, and how many of its datagrams it holds.
        var contents: FixedArray<Content>
        /// A run that was refused in one piece: its datagrams go one by one.
        var suspect: Int?
        /// Which of the sockets the messages leave from.
        var place = SendSockets.Place.common(0)
        var congestion = Congestion()
        var second = SecondPort.Copy()
        /// Whether none of them has been tried yet.
        var isUndecided = false
        /// An address that the kernel says isn't ours (any more): what should leave from it leaves from one of the kernel's choice.
        var lostLocal: IPAddress?
    }

    private struct Content {
        var run: Int
        var offset: Int
        var datagrams: Int
        /// What they are cut into by the kernel; nil for one datagram.
        var segmentSize: Int?
        /// Which of our addresses they leave from; nil for the kernel's choice.
        var local: IPAddress?
        var trafficClass: UInt8 = 0
        /// The family of the address that they go to.
        var target = IPAddress.Family.v4
        /// Whether they may go in fragments.
        var mayFragment = false
    }

    /// What goes in fragments at most, QUIC's datagrams among it.
    static let longestFragmented = Lane.longestFragmentedPacket + Geneve.overhead

    /// Where the next message begins.
    private struct Position {
        var run = 0
        var offset = 0
    }

    /// - Parameters:
    ///   - spread: sockets that datagrams leave from by their flow, so that the underlay and the receiver's queues see
    ///     flows; none sends all from `socket`.
    ///   - fragments: of the port of `socket`; nil refuses what the device can't take whole.
    ///   - separate: sockets that peers are parted over once one of them doesn't get rid of what it is sent; none has them in each
    ///     other's way.
    ///   - second: the port that datagrams to some places leave from; nil sends all from the others.
    ///   - batch: messages that one call sends.
    ///   - pathMTU: what the way to an address takes, in bytes of the IP packet; nil asks the kernel, which believes what ICMP says.
    public convenience init(
        _ socket: UDPSocket, spread: [UDPSocket] = [], fragments: UDPSocket? = nil, separate: [UDPSocket] = [],
        second: SecondPort? = nil, wake: WakeEvent, batch: Int = 64, pathMTU: (@Sendable (IPAddress) -> Int?)? = nil
    ) {
        unsafe self.init(
            socket, spread: spread, fragments: fragments, separate: separate, second: second, wake: wake, batch: batch,
            sendMessages: .init { unsafe weft_send_messages($0, $1, $2, 0) }, pathMTU: pathMTU)
    }

    init(
        _ socket: UDPSocket, spread: [UDPSocket] = [], fragments: UDPSocket? = nil, separate: [UDPSocket] = [],
        second: SecondPort? = nil, wake: WakeEvent, batch: Int, sendMessages: MessageBuffers.Send,
        clock: @escaping @Sendable () -> Instant = SystemCall.now, pathMTU: (@Sendable (IPAddress) -> Int?)? = nil
    ) {
        self.socket = socket
        self.fragments = fragments
        self.second = second
        sockets = SendSockets(common: spread.isEmpty ? [socket] : spread, separate: separate)
        self.wake = wake
        self.clock = clock
        self.pathMTU = pathMTU
        self.sendMessages = sendMessages
        state = Mutex(State(messages: MessageBuffers(capacity: batch), contents: FixedArray(capacity: batch)))
    }

    public func send(
        _ batch: borrowing ToUnderlay, failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void
    ) {
        state.withLock { state in
            var position = Position()
            state.suspect = nil
            state.isUndecided = false
            state.lostLocal = nil
            second?.refresh(&state.second)
            if state.congestion.isSeparate { state.congestion.look(at: clock()) }
            while position.run < batch.runs.count {
                if batch.runs[position.run].isTooLong {
                    sendInFragments(
                        batch, position.run, from: fragments(to: batch.runs[position.run].destination, state),
                        failed: failed)
                    position = Position(run: position.run + 1)
                    continue
                }
                fill(&state, from: batch, &position)
                if state.contents.isEmpty {
                    // The socket can't reach the run's endpoint.
                    failed(position.run, batch.runs[position.run].count, .refused(EAFNOSUPPORT))
                    position = Position(run: position.run + 1)
                } else {
                    flush(&state, &position, failed: failed)
                }
            }
        }
    }

    public var sourcePorts: Int { sockets.common.count }

    public func pathMTU(to endpoint: Endpoint) -> Int? {
        if let pathMTU { return pathMTU(endpoint.address) }
        return socket.pathMTU(to: endpoint)
    }

    /// Fills messages from a position in the batch on, up to a run that can't be sent, and moves behind them.
    private func fill(_ state: inout State, from batch: borrowing ToUnderlay, _ position: inout Position) {
        state.contents.removeAll()
        let segments = socket.capabilities.segmentation
        let length = SocketAddress.length(socket.family)
        unsafe batch.arena.bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            while position.run < batch.runs.count, !state.contents.isFull {
                let next = batch.runs[position.run]
                if next.isTooLong { return }
                let place = sockets.place(of: next, isSeparate: state.congestion.isSeparate, second: state.second.use)
                if state.contents.isEmpty {
                    state.place = place
                } else if place != state.place {
                    return
                }
                guard let address = SocketAddress(next.destination, socket.family) else { return }
                let left = next.place.count - position.offset
                let isWhole = segments && state.suspect != position.run
                let count = isWhole ? left : min(left, next.segmentSize)
                // Safe: the run lies in the arena, whose bytes stay until the call that reads them returns.
                let content = Content(
                    run: position.run, offset: position.offset,
                    datagrams: (count + next.segmentSize - 1) / next.segmentSize,
                    segmentSize: count > next.segmentSize ? next.segmentSize : nil,
                    local: next.local == state.lostLocal ? nil : next.local,
                    trafficClass: next.trafficClass, target: next.destination.address.family,
                    mayFragment: next.mayFragment && count <= Self.longestFragmented)
                unsafe state.messages.set(
                    state.contents.count, bytes: base + next.place.offset + position.offset, count: count,
                    address: address, addressLength: length,
                    ancillary(content))
                state.contents.append(content)
                position.offset += count
                if position.offset >= next.place.count { position = Position(run: position.run + 1) }
            }
        }
    }

    private func ancillary(_ content: Content) -> AncillaryData {
        AncillaryData(
            segmentSize: content.segmentSize, from: content.local, trafficClass: content.trafficClass,
            to: content.target, socket.family)
    }

    /// The socket whose datagrams to a place may go in fragments.
    private func fragments(to place: Endpoint, _ state: borrowing State) -> UDPSocket? {
        if let use = state.second.use, use.places.contains(place) { return use.fragments }
        return fragments
    }

    /// Sends a run that is too long for the way, datagram by datagram, as far as they may go in fragments.
    private func sendInFragments(
        _ batch: borrowing ToUnderlay, _ index: Int, from fragments: UDPSocket?,
        failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void
    ) {
        let run = batch.runs[index]
        for start in stride(from: 0, to: run.place.count, by: run.segmentSize) {
            let count = min(run.segmentSize, run.place.count - start)
            guard let fragments, run.mayFragment, count <= Self.longestFragmented else {
                failed(index, 1, .tooLong)
                continue
            }
            let first = run.place.offset + start
            let datagram = batch.arena.bytes.extracting(first..<first + count)
            if let why = fragments.send(
                datagram, to: run.destination, from: run.local, trafficClass: run.trafficClass)
            {
                failed(index, 1, why)
            }
        }
    }

    /// Sends the messages. When segmentation is refused on the way it moves the position back to what has not gone.
    private func flush(
        _ state: inout State, _ position: inout Position,
        failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void
    ) {
        let raw = sockets.socket(state.place, second: state.second.use).raw
        var next = 0
        var hasWaited = false
        while next < state.contents.count {
            let sent = state.messages.send(
                raw, from: next, count: state.contents.count - next, by: sendMessages)
            if sent > 0 {
                if state.isUndecided {
                    // One by one it goes: a device or a route can't segment, and says so now only.
                    socket.refuseSegmentation()
                    state.isUndecided = false
                }
                next += Int(sent)
                hasWaited = false
                continue
            }
            let code = errno
            if code == EINTR { continue }
            // The error is the first message's; the others have not been tried.
            let content = state.contents[next]
            if code == EAGAIN {
                switch state.congestion.isFull(state.place, hasWaited: hasWaited, canPart: sockets.canPart, at: clock())
                {
                case .part:
                    position = Position(run: content.run, offset: content.offset)
                    return
                case .wait:
                    hasWaited = true
                    let isReady = (try? wake.wait(for: raw, events: POLLOUT, timeout: Congestion.patience)) == .ready
                    if !isReady { state.congestion.hasWaitedInVain(at: clock()) }
                    continue
                case .giveUp:
                    for index in next..<state.contents.count {
                        failed(state.contents[index].run, state.contents[index].datagrams, .refused(code))
                    }
                    return
                }
            }
            if UDPSocket.isLost(content.local, by: code) {
                state.contents[next].local = nil
                state.lostLocal = content.local
                state.messages.set(next, ancillary(state.contents[next]))
                continue
            }
            state.isUndecided = false
            if content.datagrams > 1, [EIO, EINVAL, EOPNOTSUPP, EMSGSIZE].contains(code) {
                // Segmentation, or the datagrams themselves: older kernels say EINVAL, too, when one exceeds the
                // path's MTU. Sending them one by one tells, and the shorter last one may fit.
                state.suspect = content.run
                state.isUndecided = true
                position = Position(run: content.run, offset: content.offset)
                return
            }
            if code == EMSGSIZE, content.mayFragment,
                let fragments = state.place == .second ? state.second.use?.fragments : fragments,
                state.messages.send(fragments.raw, from: next, count: 1, by: sendMessages) == 1
            {
                next += 1
                continue
            }
            failed(content.run, content.datagrams, code == EMSGSIZE ? .tooLong : .refused(code))
            next += 1
        }
    }
}
