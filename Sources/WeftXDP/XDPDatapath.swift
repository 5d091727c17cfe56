// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft
import WeftLink
import WeftUDP

/// A data path that moves whole frames between an Ethernet device and a virtual pair through AF_XDP sockets: frames are
/// sealed and opened where they lie, and the kernel's stack sees none of them on the underlay.
///
/// Beside it runs the kernel's way: a UDP socket on the same port takes what the XDP program leaves alone, and sends
/// keep-alives. Everything that it makes goes with it.
public final class XDPDatapath: Datapath {
    let configuration: XDPConfiguration
    private let engine: Engine
    private let socket: UDPSocket
    private let fragments: UDPSocket
    private let separate: [UDPSocket]
    private let second: SecondPort
    let program: XDPProgram
    private let link = DeviceLink()
    let overlayLink = DeviceLink()
    let monitor: UnderlayMonitor
    let kernel: KernelPath
    let writer: FrameWriter
    private let timer: PumpedDatapath
    private let wake: WakeEvent
    private let queues: [QueueBox]
    let reports: [QueueReport]
    private let virtualPair: VirtualPair
    /// Bytes of the longest inner packet that a frame has room for.
    public let longestPacket: Int
    /// Where settings of interfaces are, which a confined process finds no other way.
    let links = FileDescriptor(owning: weft_open_links())
    let pair: Mutex<OverlayPair?>
    let overlayProgram: Mutex<XDPAttachment?>
    private let isClosing = Atomic(false)
    private let failure = Mutex<DatapathError?>(nil)
    /// What the tunnel has put into the host.
    public let host: HostState
    private let hasRun = Atomic(false)
    /// The underlay's interface.
    public let underlay: String

    /// A queue on its way to the thread that runs it.
    private final class QueueBox: Sendable {
        private let queue: Mutex<Queue?>

        init(_ queue: consuming Queue) { self.queue = Mutex(consume queue) }

        func take() -> Queue? { queue.withLock { $0.take() } }
    }

    /// The most queues that a device may have.
    public static let mostQueues = XDPProgram.mostQueues

    /// Lanes that its engine must have for a device of so many queues: one each, the kernel's way, the timer and the second port.
    public static func lanes(queues: Int) -> Int { queues + 3 }

    /// MAC addresses of the overlay, for the engine: of the neighbour that all of the overlay's hosts are, and of the
    /// host's interface. Locally administered, at random.
    public static func layer2Mode() -> EngineConfiguration.Mode {
        func random() -> MACAddress { MACAddress(bits: .random(in: 0 ... .max) & 0xFCFF_FFFF_FFFF | 0x0200_0000_0000) }
        return .layer2(source: random(), destination: random())
    }

    /// Makes everything; when anything fails nothing is left behind.
    /// - Parameters:
    ///   - engine: a layer 2 engine, with its networks and with ``lanes(queues:)`` lanes for ``mostQueues``, or for as
    ///     many receive queues as the underlay's interface has.
    ///   - onTick: called about ten times a second while it runs.
    /// - Throws: ``DatapathError/setup(_:)`` with what to do.
    public convenience init(
        _ configuration: XDPConfiguration, engine: Engine, onTick: @escaping @Sendable (Instant) -> Void = { _ in }
    ) throws(DatapathError) {
        try self.init(configuration, engine: engine, dropper: nil, onTick: onTick)
    }

    /// - Parameter dropper: loses packets, for tests.
    init(
        _ configuration: XDPConfiguration, engine: Engine, dropper: FrameDropper?,
        onTick: @escaping @Sendable (Instant) -> Void = { _ in }
    ) throws(DatapathError) {
        guard case .layer2(let neighbor, let host) = engine.configuration.mode else {
            throw .setup("AF_XDP carries Ethernet frames: it needs a layer 2 engine")
        }
        // Where this fails, registering the memory says so.
        _ = weft_unlimit_locked_memory()
        let options = configuration.options
        self.configuration = configuration
        self.engine = engine
        if let named = configuration.underlay {
            underlay = named
        } else {
            underlay = try UnderlayMonitor.interface(
                to: engine.networks().compactMap(\.endpoint?.address), mark: configuration.mark)
        }
        let frameSize = try Self.frameSize(configuration, underlay: underlay)
        longestPacket = FramePool.longestPacket(frameSize: frameSize) - Ethernet.headerLength
        socket = try UDPSocket(
            port: engine.configuration.port, address: configuration.listenAddress, mark: configuration.mark,
            role: .opensPort, offloads: [])
        fragments = try UDPSocket(
            port: socket.port, address: configuration.listenAddress, mark: configuration.mark, role: .fragments,
            offloads: [])
        try socket.steer(receivers: 1)
        separate = try UDPSocket.separate(of: socket, address: configuration.listenAddress, mark: configuration.mark)
        second = SecondPort(address: configuration.listenAddress, mark: configuration.mark, offloads: [])
        program = try XDPProgram(port: socket.port, longest: FramePool.longestPacket(frameSize: frameSize))
        monitor = try UnderlayMonitor(
            interface: underlay, mark: configuration.mark, listenAddress: configuration.listenAddress, engine: engine,
            program: program, link: link, second: second, options)
        let count = min(Int(unsafe weft_receive_queues(underlay)), Self.mostQueues)
        virtualPair = VirtualPair(
            name: configuration.name, mac: host, peerName: OverlayPair.peerName(of: configuration.name),
            peerMAC: neighbor, queues: count, mtu: configuration.mtu)
        let pair = try Self.makePair(virtualPair)
        overlayLink.set(pair.peer)
        let ways = try DeviceWays.open(mark: configuration.mark)
        do throws(TransportError) {
            wake = try WakeEvent()
            var queues: [QueueBox] = []
            var reports: [QueueReport] = []
            let kernelSender = SingleSender(socket, fragments: fragments, separate: separate, second: second)
            for number in 0..<UInt32(count) {
                let queue = try Queue(
                    number, frameSize: frameSize, overlay: overlayLink, link: link, program: program,
                    kernel: kernelSender, options, dropper: dropper)
                reports.append(QueueReport(queue.firstStatus))
                queues.append(QueueBox(queue))
            }
            self.queues = queues
            self.reports = reports
            kernel = KernelPath(socket, wake: wake)
            writer = try FrameWriter(overlay: pair.peer, to: host, from: neighbor)
            timer = PumpedDatapath(
                engine: engine, queues: [],
                timerSender: UDPSender(
                    socket, fragments: fragments, separate: separate, second: second, wake: wake,
                    pathMTU: ways.mtu),
                wake: wake,
                onTick: onTick)
        } catch {
            throw Self.explain(error)
        }
        let attachment = try program.attach(.overlay, to: pair.peer, name: pair.peerName, nil)
        overlayProgram = Mutex(attachment)
        try monitor.attach()
        do throws(LinkError) {
            var wants = HostWants(
                name: configuration.name, mtu: configuration.mtu, addresses: configuration.addresses,
                routes: configuration.routes, gateways: .standard)
            wants.isTakenOver = configuration.isTakenOver
            self.host = try HostState(wants, device: pair.interface)
            pair.speedUp(links)
        } catch {
            throw .setup(error.description)
        }
        self.pair = Mutex(consume pair)
    }

    /// The pair as it is to be now.
    var presentPair: VirtualPair {
        var pair = virtualPair
        pair.mtu = host.wants.mtu
        return pair
    }

    static func makePair(_ pair: VirtualPair) throws(DatapathError) -> OverlayPair {
        OverlayPair.removeLeftover(pair.name)
        do throws(LinkError) {
            return try OverlayPair(pair)
        } catch {
            throw .setup(error.description)
        }
    }

    /// Frames of the UMEM that take the tunnel's packets, and the underlay's as far as possible.
    private static func frameSize(
        _ configuration: XDPConfiguration, underlay: String
    ) throws(DatapathError) -> Int {
        let longest: Int
        do throws(LinkError) {
            var netlink = try Netlink()
            longest = try netlink.linkStatus(of: underlay).mtu + Ethernet.headerLength
        } catch {
            throw .setup(error.description)
        }
        guard configuration.mtu + Ethernet.headerLength <= FramePool.longestPacket(frameSize: 4096) else {
            let most = FramePool.longestPacket(frameSize: 4096) - Ethernet.headerLength
            throw .setup("MTU: AF_XDP takes packets of \(most) bytes at most; lower it or use Driver = tun")
        }
        let wanted = max(longest, configuration.mtu + Ethernet.headerLength)
        return wanted <= FramePool.longestPacket(frameSize: 2048) ? 2048 : 4096
    }

    private static func explain(_ error: TransportError) -> DatapathError {
        switch error.code {
        case EPERM, EACCES: .setup("cannot \(error.operation): run as root or grant CAP_NET_RAW and CAP_NET_ADMIN")
        case EAFNOSUPPORT: .setup("cannot \(error.operation): the kernel has no AF_XDP; use Driver = tun")
        case EOPNOTSUPP: .setup("cannot \(error.operation): the device can't do it; use Driver = tun")
        case EBUSY:
            .setup("cannot \(error.operation): another AF_XDP program has that queue; is the tunnel up already?")
        case ENOBUFS, ENOMEM:
            .setup("cannot \(error.operation): the limit on locked memory (ulimit -l) is too low, or memory short")
        default: .transport(error)
        }
    }

    // MARK: - Running

    public func run() throws(DatapathError) {
        guard !hasRun.exchange(true, ordering: .relaxed) else { throw .alreadyRun }
        defer { removeEverything(isClean: failure.withLock { $0 == nil }) }
        var threads: [RunningThread] = []
        do throws(TransportError) {
            for (index, box) in queues.enumerated() {
                let processor = configuration.pinsThreads ? UInt32(index) : nil
                threads.append(
                    try start("weft-xdp", processor) { [self] () throws(DatapathError) in
                        try pump(box, reports[index])
                    })
            }
            threads.append(
                try start("weft-kernel", nil) { [self] () throws(DatapathError) in
                    var end = try makeKernelEnd()
                    do throws(TransportError) {
                        try kernel.run(into: &end, clock: SystemCall.now) { isClosing.load(ordering: .acquiring) }
                    } catch {
                        throw .transport(error)
                    }
                })
            threads.append(
                try start("weft-link", nil) { [self] () throws(DatapathError) in
                    try monitor.run(wake: wake) { isClosing.load(ordering: .acquiring) }
                })
        } catch {
            fail(.transport(error))
        }
        do throws(DatapathError) {
            try timer.run()
        } catch {
            fail(error)
        }
        close()
        for thread in threads { thread.join() }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    /// Rules outlive the process: they go also when it never came to running.
    deinit {
        if !hasRun.load(ordering: .relaxed) { host.endBeforeStart() }
    }

    public func close() {
        isClosing.store(true, ordering: .releasing)
        timer.close()
    }

    private func pump(_ box: QueueBox, _ report: QueueReport) throws(DatapathError) {
        guard var queue = box.take() else { throw .alreadyRun }
        var lane = try makeLane()
        do throws(TransportError) {
            try queue.run(&lane, wake: wake, report: report, clock: SystemCall.now) {
                isClosing.load(ordering: .acquiring)
            }
        } catch {
            throw .transport(error)
        }
    }

    private func makeKernelEnd() throws(DatapathError) -> FromUnderlayEnd {
        do throws(EngineError) {
            return try timer.underlay.makeEnd(overlay: writer)
        } catch {
            throw .engine(error)
        }
    }

    private func makeLane() throws(DatapathError) -> Lane {
        do throws(EngineError) {
            return try Lane(engine)
        } catch {
            throw .engine(error)
        }
    }

    /// Where other kinds of packets that come to the port are consumed.
    public var plane: DataPlane { timer.plane }

    /// The port's socket in the kernel, for whoever answers a packet.
    public var transport: UnderlayTransport { timer.underlay }

    /// As ``TUNDatapath`` does: has datagrams to these places leave from a second port. It's the kernel's way in both directions.
    /// - Parameter isFresh: whether it is to be another port than before.
    /// - Returns: the port; nil where nothing leaves from it.
    public func serve(_ places: Set<Endpoint>, fromFreshPort isFresh: Bool) throws(DatapathError) -> UInt16? {
        try second.serve(places, isFresh: isFresh) { (socket) throws(DatapathError) in
            try timer.pump(UDPReceiver(socket, wake: wake), to: writer)
        }
    }

    /// Keeps the first error and stops everything.
    private func fail(_ error: DatapathError) {
        failure.withLock { $0 = $0 ?? error }
        close()
    }

    private func removeEverything(isClean: Bool) {
        monitor.detach()
        overlayProgram.withLock { $0 = nil }
        host.end(isClean: isClean)
        pair.withLock { $0 = nil }
        socket.close()
        fragments.close()
        for socket in separate { socket.close() }
        second.close()
    }

    /// A started thread, so that an array can hold it.
    private final class RunningThread {
        private var thread: WorkerThread?

        init(_ thread: consuming WorkerThread) { self.thread = consume thread }

        func join() { thread.take()?.join() }
    }

    private func start(
        _ name: String, _ processor: UInt32?, _ body: @escaping @Sendable () throws(DatapathError) -> Void
    ) throws(TransportError) -> RunningThread {
        let thread = try WorkerThread(name: name, processor: processor) { [self] in
            do throws(DatapathError) {
                try body()
            } catch {
                fail(error)
            }
        }
        return RunningThread(thread)
    }
}
