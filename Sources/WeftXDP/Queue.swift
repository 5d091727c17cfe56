// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft
import WeftUDP

/// One queue: a socket on each device, the frames that both share, and the thread's work on them.
///
/// A frame that one side received is transformed where it lies and sent by the other side.
struct Queue: ~Copyable, Sendable {
    /// Packets that are taken from a side before the other has its turn.
    private static let batch = 64
    /// Milliseconds of rest while nothing comes; also how soon a newer snapshot is looked for.
    private static let patience: Int32 = 500
    /// Milliseconds of rest while packets wait for a device that is full.
    private static let shortPatience: Int32 = 1
    /// How often it lets others run before it rests.
    private static let mostYields = 16
    static let tooBigPerTick = 100

    let number: UInt32
    let options: XDPOptions
    let program: XDPProgram
    let link: DeviceLink
    let overlayLink: DeviceLink
    var pool: FramePool
    var overlay: XDPSocket?
    var underlay: XDPSocket?
    var generation: UInt64
    var overlayGeneration: UInt64
    var nextTry = Instant(nanoseconds: 0)
    var nextOverlayTry = Instant(nanoseconds: 0)
    var nextReport = Instant(nanoseconds: 0)
    var tooBigLeft = Self.tooBigPerTick
    var missedBefore: UInt64 = 0
    var sentByKernel: UInt64 = 0
    /// Sends what can't leave in a frame.
    private var kernel: SingleSender
    private var lost: FrameDropper?

    /// Makes the overlay's socket and, when the interface is there, the underlay's.
    init(
        _ number: UInt32, frameSize: Int, overlay overlayLink: DeviceLink, link: DeviceLink, program: XDPProgram,
        kernel: SingleSender, _ options: XDPOptions, dropper: FrameDropper? = nil
    ) throws(TransportError) {
        // Each ring may be full at a time.
        var pool = try FramePool(count: options.ringSize * 4, frameSize: frameSize)
        let state = link.current
        let overlayState = overlayLink.current
        let overlay = try overlayState.interface.map { index throws(TransportError) in
            try Self.connect(.overlay, index, number, &pool, program, options)
        }
        let underlay = try state.interface.map { index throws(TransportError) in
            try Self.connect(.underlay, index, number, &pool, program, options)
        }
        self.number = number
        self.options = options
        self.program = program
        self.link = link
        self.overlayLink = overlayLink
        self.kernel = kernel
        self.pool = pool
        self.overlay = overlay
        self.underlay = underlay
        generation = state.generation
        overlayGeneration = overlayState.generation
        lost = dropper
    }

    /// A socket with frames to receive into, to which the program sends the queue's frames.
    static func connect(
        _ side: XDPSocket.Side, _ interface: Int32, _ number: UInt32, _ pool: inout FramePool, _ program: XDPProgram,
        _ options: XDPOptions
    ) throws(TransportError) -> XDPSocket {
        var socket = try XDPSocket(side, interface: interface, queue: number, pool: pool, options)
        try program.connect(socket, queue: number)
        socket.refill(from: &pool)
        return socket
    }

    /// Moves packets until `isClosing`.
    mutating func run(
        _ lane: inout Lane, wake: WakeEvent, report: QueueReport, clock: () -> Instant, isClosing: () -> Bool
    ) throws(TransportError) {
        lane.sealsDatagramsWithoutPath = true
        var idleSince: Instant?
        var yields = 0
        while !isClosing() {
            lane.refresh()
            let now = clock()
            followLinks(now)
            if now >= nextReport { publish(to: report, now) }
            overlay?.reclaim(into: &pool)
            underlay?.reclaim(into: &pool)
            overlay?.refill(from: &pool)
            underlay?.refill(from: &pool)
            let moved = fromUnderlay(&lane, now) + fromOverlay(&lane, now)
            let waiting = flush(&lane)
            if moved > 0 {
                idleSince = nil
                yields = 0
                continue
            }
            // A device that is full is emptied by another thread, on this processor perhaps.
            if waiting, yields < Self.mostYields {
                yields += 1
                sched_yield()
                continue
            }
            yields = 0
            if let microseconds = options.busyPoll, !waiting {
                let since = idleSince ?? now
                idleSince = since
                if now.nanoseconds &- since.nanoseconds < UInt64(microseconds) * 1000 {
                    underlay?.poll()
                    overlay?.poll()
                    continue
                }
            }
            _ = try wake.wait(
                forEither: overlay?.raw ?? -1, or: underlay?.raw ?? -1,
                timeout: waiting ? Self.shortPatience : underlay == nil || overlay == nil ? 50 : Self.patience)
            idleSince = nil
        }
        publish(to: report, clock())
    }

    /// Opens what the underlay received, and hands it to the overlay. Returns how many packets there were.
    @inline(__always)
    private mutating func fromUnderlay(_ lane: inout Lane, _ now: Instant) -> Int {
        var count = 0
        while count < Self.batch, let packet = underlay?.receive(from: &pool) {
            count += 1
            let place = packet.place
            let frame = packet.intoFrame()
            if lost?.drops() == true {
                pool.put(frame)
                continue
            }
            let outcome = pool.withBytes(of: frame) { bytes in
                lane.decapsulate(inPlace: &bytes, received: place, from: nil, as: .frame, at: now)
            }
            switch outcome {
            case .forward(let place):
                guard overlay != nil else {
                    pool.put(frame)
                    lane.countDrop(.overlayRefused, in: lane.lastNetwork)
                    continue
                }
                if overlay?.send(place, of: frame, pool: &pool) != true {
                    lane.countDrop(.overlayRefused, in: lane.lastNetwork)
                }
            case .reply, .consumed, .dropped: pool.put(frame)
            }
        }
        if count > 0 { underlay?.releaseReceived() }
        return count
    }

    /// Seals what the overlay sent, and hands it to the underlay; answers ARP and neighbour solicitations.
    @inline(__always)
    private mutating func fromOverlay(_ lane: inout Lane, _ now: Instant) -> Int {
        var count = 0
        let largest = link.largestInner.load(ordering: .relaxed)
        while count < Self.batch, let packet = overlay?.receive(from: &pool) {
            count += 1
            let place = packet.place
            let frame = packet.intoFrame()
            if lost?.drops() == true {
                pool.put(frame)
                continue
            }
            let length = place.count - Ethernet.headerLength
            if length > max(largest, Lane.longestFragmentedPacket) {
                lane.countDrop(.noRoom, in: .none)
                tellTooBig(place, of: frame, largest)
                continue
            }
            let outcome = pool.withBytes(of: frame) { bytes in
                lane.encapsulate(inPlace: &bytes, packet: place, as: length > largest ? .datagram : .frame, at: now)
            }
            switch outcome {
            case .forward(let place):
                if let endpoint = lane.lastEndpoint {
                    sendByKernel(place, of: frame, to: endpoint, &lane, now)
                    continue
                }
                guard underlay != nil else {
                    pool.put(frame)
                    lane.countDrop(.underlayRefused, in: lane.lastNetwork)
                    continue
                }
                if underlay?.send(place, of: frame, pool: &pool) != true {
                    lane.countDrop(.underlayRefused, in: lane.lastNetwork)
                }
            case .reply(let place): sendToOverlay(place, of: frame)
            case .dropped where lane.lastIsTooLong: tellTooBig(place, of: frame, lane.lastLongestPacket)
            case .consumed, .dropped: pool.put(frame)
            }
        }
        if count > 0 { overlay?.releaseReceived() }
        return count
    }

    /// Leaves a datagram to the kernel's socket: for an endpoint whose next hop isn't known (yet), or which another
    /// interface leads to. It makes the kernel look for the next hop.
    private mutating func sendByKernel(
        _ place: Range<Int>, of frame: consuming Frame, to endpoint: Endpoint, _ lane: inout Lane, _ now: Instant
    ) {
        sentByKernel &+= 1
        let (local, isTooLong, trafficClass) = (lane.lastLocalAddress, lane.lastIsTooLong, lane.lastTrafficClass)
        let network = lane.lastNetwork
        var sender = kernel
        let failure = pool.withBytes(of: frame) { bytes in
            sender.send(
                bytes.bytes.extracting(place), to: endpoint, from: local, trafficClass: trafficClass, of: network,
                isTooLong: isTooLong, at: now)
        }
        kernel = sender
        pool.put(frame)
        switch failure {
        case nil: break
        case .tooLong: lane.countDrop(.tooLongForUnderlay, in: lane.lastNetwork)
        case .refused: lane.countDrop(.underlayRefused, in: lane.lastNetwork)
        }
    }

    /// Answers a packet that fits no frame of the underlay with an ICMP message, in a frame of its own.
    private mutating func tellTooBig(_ place: Range<Int>, of frame: consuming Frame, _ mtu: Int) {
        guard tooBigLeft > 0, let answer = pool.take() else {
            pool.put(frame)
            return
        }
        tooBigLeft -= 1
        // In a buffer of its own, off the fast path: rare, and limited.
        var message = PacketArena(capacity: PacketTooBig.maximumLength)
        let (source, destination, length) = pool.withBytes(of: frame) { bytes in
            let packet = bytes.bytes.extracting(place.lowerBound + Ethernet.headerLength..<place.upperBound)
            var output = message.mutableBytes
            return (
                Ethernet.source(of: bytes.bytes, at: place.lowerBound),
                Ethernet.destination(of: bytes.bytes, at: place.lowerBound),
                PacketTooBig.write(for: packet, mtu: mtu, into: &output)
            )
        }
        pool.put(frame)
        guard let length else {
            pool.put(answer)
            return
        }
        let start = FramePool.kernelHeadroom
        pool.withBytes(of: answer) { bytes in
            Ethernet.write(to: source, from: destination, message.bytes.extracting(0..<length), into: &bytes, at: start)
        }
        sendToOverlay(start..<start + Ethernet.headerLength + length, of: answer)
    }

    /// An answer of ours to the host, which does without if the overlay has no socket.
    private mutating func sendToOverlay(_ place: Range<Int>, of frame: consuming Frame) {
        guard overlay != nil else { return pool.put(frame) }
        _ = overlay?.send(place, of: frame, pool: &pool)
    }

    /// Has both devices send. Whether packets are left over.
    private mutating func flush(_ lane: inout Lane) -> Bool {
        var isWaiting = false
        if overlay?.hasQueued == true {
            let refused = overlay?.flush() ?? 0
            if refused > 0 { lane.countDrop(.overlayRefused, in: .none, packets: refused) }
            isWaiting = overlay?.hasQueued == true
        }
        if underlay?.hasQueued == true {
            let refused = underlay?.flush() ?? 0
            if refused > 0 { lane.countDrop(.underlayRefused, in: .none, packets: refused) }
            isWaiting = isWaiting || underlay?.hasQueued == true
        }
        return isWaiting
    }
}
