// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft

/// The consumer of a data plane's STUN stream: asks servers from the tunnel's own socket every minute, and answers those
/// who ask, if it is to.
///
/// What it learns is the public endpoint of that very socket, as peers would see it.
public final class STUNAgent: Sendable {
    /// What it has found so far.
    public struct State: Sendable {
        /// The last round's that was finished, or the first's so far.
        public var results: [STUNRound.Result] = []
        public var mappings: [IPAddress.Family: Mapping] = [:]
        /// When the round was finished; nil before the first was.
        public var finished: Instant?
        /// Requests answered.
        public var answered: UInt64 = 0
    }

    /// How long a mapping is taken for granted: a translator forgets it after two minutes or later (RFC 4787 section
    /// 4.3).
    private static let interval = Duration.seconds(60)
    /// Milliseconds.
    private static let longestWait: Int32 = 10_000

    private let plane: DataPlane
    private let transport: TransportID
    private let servers: [STUNServerName]
    private let responds: Bool
    private let clock: @Sendable () -> Instant
    private let consumer: StreamConsumer
    private let wake: WakeEvent
    private let isClosing = Atomic(false)
    private let state = Mutex(State())

    /// - Parameters:
    ///   - transport: which underlay transport it asks by.
    ///   - servers: none for a responder alone.
    ///   - responds: whether it answers requests.
    /// - Throws: when another takes the stream.
    public init(
        _ plane: DataPlane, by transport: TransportID, servers: [STUNServerName], responds: Bool,
        clock: @escaping @Sendable () -> Instant = SystemCall.now
    ) throws(StreamError) {
        self.plane = plane
        self.transport = transport
        self.servers = servers
        self.responds = responds
        self.clock = clock
        consumer = try plane.streams.consume(.stun)
        do throws(TransportError) {
            wake = try WakeEvent()
        } catch {
            throw .transport(error)
        }
    }

    /// What is known now.
    public var current: State { state.withLock { $0 } }

    /// How often it looks whether names have been found: milliseconds.
    private static let lookupWait: Int32 = 50

    /// Runs until ``close()``, on the calling thread.
    public func run() {
        var batch = consumer.makeBatch()
        var lookup: STUNLookup?
        var round: STUNRound?
        var nextRound = clock()
        while !isClosing.load(ordering: .acquiring) {
            if round == nil, lookup == nil, !servers.isEmpty, clock() >= nextRound {
                nextRound = clock().advanced(by: Self.interval)
                lookup = try? STUNLookup(servers, clock: clock)
            }
            if let found = lookup?.take() {
                round = found
                lookup = nil
            }
            round?.sendRequests(at: clock()) { bytes, server in plane.send(bytes, to: server, by: transport) }
            publish(round)
            if round?.isDone == true {
                round = nil
                nextRound = clock().advanced(by: Self.interval)
            }
            let longest = lookup == nil ? Self.longestWait : Self.lookupWait
            let timeout = round?.timeout(at: clock(), longest: longest) ?? longest
            do throws(TransportError) {
                try consumer.receive(into: &batch, timeout: timeout, wake: wake)
            } catch {
                return
            }
            for index in 0..<batch.datagrams.count { take(batch[index], batch.datagrams[index], &round) }
        }
        consumer.close()
    }

    /// Makes ``run()`` return. From any thread, any number of times.
    public func close() {
        isClosing.store(true, ordering: .releasing)
        wake.signal()
    }

    private func take(_ bytes: RawSpan, _ datagram: ToConsumer.Datagram, _ round: inout STUNRound?) {
        let copy = bytes.copied
        if round?.client.receive(copy, from: datagram.source, at: clock()) == true { return }
        guard responds, let request = STUNMessage(copy),
            let answer = STUNMessage.answer(to: request, from: datagram.source)
        else { return }
        // Safe: a UInt8 has no padding.
        guard
            unsafe plane.send(
                answer.span.bytes, to: datagram.source, from: datagram.local, by: datagram.transport) == nil
        else { return }
        state.withLock { $0.answered &+= 1 }
    }

    private func publish(_ round: STUNRound?) {
        guard let round else { return }
        let now = clock()
        state.withLock { state in
            guard round.isDone || state.finished == nil else { return }
            state.results = round.results
            state.mappings = round.mappings
            if round.isDone { state.finished = now }
        }
    }
}
