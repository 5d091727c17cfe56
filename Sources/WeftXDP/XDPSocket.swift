// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// An AF_XDP socket on one queue of a device, with its four rings: one thread's.
struct XDPSocket: ~Copyable, Sendable {
    /// Which device of a queue it is on, for the frames that it holds.
    enum Side: Sendable {
        case underlay
        case overlay

        var receive: FramePool.Holder { self == .underlay ? .underlayReceive : .overlayReceive }
        var transmit: FramePool.Holder { self == .underlay ? .underlayTransmit : .overlayTransmit }
    }

    // The rings are unmapped before the descriptor is closed: only then can the queue be bound again soon.
    private var fill: ProducerRing<UInt64>
    private var received: ConsumerRing<xdp_desc>
    private var transmit: ProducerRing<xdp_desc>
    private var completed: ConsumerRing<UInt64>
    private let descriptor: FileDescriptor
    let side: Side
    /// What the kernel agreed to.
    let copying: XDPOptions.Copying
    private let needsWakeup: Bool
    /// Descriptors from the kernel that are no frames of ours. There are none, unless the kernel errs.
    private(set) var strangers = 0

    var raw: Int32 { descriptor.raw }

    /// Registers the pool's memory with a new socket, makes the rings, and binds it.
    /// - Parameter interface: the device's index.
    init(
        _ side: Side, interface: Int32, queue: UInt32, pool: borrowing FramePool, _ options: XDPOptions
    ) throws(TransportError) {
        let raw = try SystemCall.retrying("open an AF_XDP socket") {
            socket(AF_XDP, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        }
        let descriptor = FileDescriptor(owning: raw)
        var region = xdp_umem_reg()
        region.addr = UInt64(UInt(bitPattern: unsafe pool.memory))
        region.len = UInt64(pool.byteCount)
        region.chunk_size = UInt32(pool.frameSize)
        region.headroom = UInt32(FramePool.headroom)
        try Self.set(raw, XDP_UMEM_REG, &region, "register memory for packets")
        var size = UInt32(options.ringSize)
        for ring in [XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING] {
            try Self.set(raw, ring, &size, "make an AF_XDP ring")
        }
        var offsets = xdp_mmap_offsets()
        var length = socklen_t(MemoryLayout<xdp_mmap_offsets>.size)
        try SystemCall.retrying("ask for the rings' layout") {
            unsafe getsockopt(raw, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length)
        }
        // Locals, since a structure with parts that can't be copied is made in one step.
        let fill = try RingMemory<UInt64>(raw, .init(offsets: offsets.fr, page: Page.fill), capacity: options.ringSize)
        let completed = try RingMemory<UInt64>(
            raw, .init(offsets: offsets.cr, page: Page.completion), capacity: options.ringSize)
        let received = try RingMemory<xdp_desc>(
            raw, .init(offsets: offsets.rx, page: Page.receive), capacity: options.ringSize)
        let transmit = try RingMemory<xdp_desc>(
            raw, .init(offsets: offsets.tx, page: Page.transmit), capacity: options.ringSize)
        Self.prepare(raw, options)
        copying = try Self.bind(raw, side, interface: interface, queue: queue, options)
        self.fill = ProducerRing(fill)
        self.completed = ConsumerRing(completed)
        self.received = ConsumerRing(received)
        self.transmit = ProducerRing(transmit)
        needsWakeup = options.needsWakeup
        self.side = side
        self.descriptor = descriptor
    }

    /// Where rings are mapped (linux/if_xdp.h, whose macros have suffixes that Swift can't import).
    private enum Page {
        static let receive = 0
        static let transmit = 0x8000_0000
        static let fill = 0x1_0000_0000
        static let completion = 0x1_8000_0000
    }

    /// Options that only make it faster; a kernel that doesn't know one does without.
    private static func prepare(_ raw: Int32, _ options: XDPOptions) {
        var budget = UInt32(options.ringSize)
        _ = unsafe setsockopt(raw, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, socklen_t(MemoryLayout<UInt32>.size))
        var buffer: Int32 = 8 << 20
        _ = unsafe setsockopt(raw, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, socklen_t(MemoryLayout<Int32>.size))
        guard let microseconds = options.busyPoll else { return }
        for (option, value) in [
            (SO_PREFER_BUSY_POLL, 1), (SO_BUSY_POLL, Int32(clamping: microseconds)), (SO_BUSY_POLL_BUDGET, 64),
        ] {
            var value = value
            _ = unsafe setsockopt(raw, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    /// Binds to the queue, in the first mode of those wanted that the device takes.
    private static func bind(
        _ raw: Int32, _ side: Side, interface: Int32, queue: UInt32, _ options: XDPOptions
    ) throws(TransportError) -> XDPOptions.Copying {
        let choices: [XDPOptions.Copying] =
            side == .overlay ? [.copy] : options.copying.map { [$0] } ?? [.zeroCopy, .copy]
        var failure = EOPNOTSUPP
        for choice in choices {
            var address = sockaddr_xdp()
            address.sxdp_family = UInt16(AF_XDP)
            address.sxdp_flags = UInt16(choice == .copy ? XDP_COPY : XDP_ZEROCOPY)
            if options.needsWakeup { address.sxdp_flags |= UInt16(XDP_USE_NEED_WAKEUP) }
            address.sxdp_ifindex = UInt32(interface)
            address.sxdp_queue_id = queue
            // A socket that was just closed holds its queue for a moment yet.
            for _ in 0..<50 {
                // Safe: every socket address begins with the same field, and the length says how much of it counts.
                let result = unsafe withUnsafePointer(to: &address) { pointer in
                    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        unsafe Glibc.bind(raw, $0, socklen_t(MemoryLayout<sockaddr_xdp>.size))
                    }
                }
                if result == 0 { return choice }
                failure = errno
                guard failure == EBUSY else { break }
                usleep(10_000)
            }
        }
        throw TransportError("bind an AF_XDP socket to queue \(queue)", code: failure)
    }

    private static func set<Value: BitwiseCopyable>(
        _ raw: Int32, _ option: Int32, _ value: inout Value, _ operation: String
    ) throws(TransportError) {
        try SystemCall.retrying(operation) {
            unsafe setsockopt(raw, SOL_XDP, option, &value, socklen_t(MemoryLayout<Value>.size))
        }
    }

    /// What the kernel counted on this socket.
    var statistics: xdp_statistics {
        var statistics = xdp_statistics()
        var length = socklen_t(MemoryLayout<xdp_statistics>.size)
        _ = unsafe getsockopt(descriptor.raw, SOL_XDP, XDP_STATISTICS, &statistics, &length)
        return statistics
    }

    // MARK: - Packets

    /// Gives the kernel free frames to receive into, as many as fit.
    @inline(__always)
    mutating func refill(from pool: inout FramePool) {
        // In batches: a few places are not worth the trip.
        var room = fill.room(for: fill.capacity / 4)
        guard room >= fill.capacity / 4 else { return }
        while room > 0, let frame = pool.take() {
            fill.append(pool.lend(frame, to: side.receive))
            room -= 1
        }
        fill.publish()
    }

    /// Takes back frames that were sent.
    @inline(__always)
    mutating func reclaim(into pool: inout FramePool) {
        var count = 0
        while let address = completed.next() {
            if let frame = pool.recover(address, from: side.transmit) { pool.put(frame) } else { strangers += 1 }
            count += 1
        }
        if count > 0 { completed.release() }
    }

    /// A received packet: its frame is the caller's.
    struct Received: ~Copyable {
        private let frame: Frame
        let place: Range<Int>

        init(frame: consuming Frame, place: Range<Int>) {
            self.frame = frame
            self.place = place
        }

        @inline(__always)
        consuming func intoFrame() -> Frame { frame }
    }

    /// The next received packet. ``releaseReceived()`` says when some have been taken.
    @inline(__always)
    mutating func receive(from pool: inout FramePool) -> Received? {
        while let entry = received.next() {
            guard let frame = pool.recover(entry.addr, from: side.receive) else {
                strangers += 1
                continue
            }
            let start = Int(entry.addr % UInt64(pool.frameSize))
            // As asked for at bind; a packet with less could not be sealed in place, which the engine would count.
            assert(start >= FramePool.headroom + FramePool.kernelHeadroom)
            return Received(frame: frame, place: start..<min(start + Int(entry.len), pool.frameSize))
        }
        return nil
    }

    @inline(__always)
    func releaseReceived() { received.release() }

    /// Queues a packet to be sent from the frame it lies in; gives the frame back to the pool when the ring is full.
    @inline(__always)
    mutating func send(_ place: Range<Int>, of frame: consuming Frame, pool: inout FramePool) -> Bool {
        guard transmit.room() > 0 else {
            pool.put(frame)
            return false
        }
        let base = pool.lend(frame, to: side.transmit)
        transmit.append(
            xdp_desc(addr: base + UInt64(place.lowerBound), len: UInt32(place.count), options: 0))
        return true
    }

    /// Whether packets wait to be sent.
    @inline(__always)
    var hasQueued: Bool { transmit.pending > 0 }

    /// Packets that the kernel could not give to this socket.
    var missed: UInt64 {
        let statistics = statistics
        return statistics.rx_dropped &+ statistics.rx_ring_full &+ statistics.rx_fill_ring_empty_descs
    }

    /// Hands over what was queued, and has the kernel send it.
    ///
    /// In copy mode the kernel sends in the call, and stops at a device that is full or when it is short of memory: then
    /// some stay pending for the next flush.
    /// - Returns: packets that the device dropped at once.
    @inline(__always)
    mutating func flush() -> Int {
        transmit.publish()
        guard !needsWakeup || transmit.needsWakeup else { return 0 }
        // A refused packet (EBUSY) is done with; the others have not been tried.
        for refused in 0..<64 {
            guard sendto(descriptor.raw, nil, 0, Int32(MSG_DONTWAIT), nil, 0) < 0, errno == EBUSY else {
                return refused
            }
            if transmit.pending == 0 { return refused + 1 }
            // Whoever empties the device may wait for this processor.
            sched_yield()
        }
        return 64
    }

    /// Looks for packets by hand, where the device can be polled (SO_BUSY_POLL); wakes a driver that waits for frames.
    @inline(__always)
    func poll() {
        _ = recvfrom(descriptor.raw, nil, 0, Int32(MSG_DONTWAIT), nil, nil)
    }
}
