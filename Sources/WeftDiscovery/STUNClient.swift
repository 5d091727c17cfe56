// SPDX-License-Identifier: Apache-2.0
import Weft

/// Asks several STUN servers under which endpoint they see us (RFC 8489). It does no I/O and reads no clock: whoever runs
/// it sends what ``nextRequest(at:)`` gives and passes in what comes, all from and to one socket.
///
/// As two servers see one socket under two endpoints, the mapping depends on the destination, and what one learned is of
/// no use to others (RFC 5780 section 4.3).
public struct STUNClient: Sendable {
    /// When to ask again, and when to give up (section 6.2.1).
    public struct Timing: Hashable, Sendable {
        /// Until the second request; doubled from one to the next, and once more until it gives up.
        public var first: Duration
        /// Requests to one server.
        public var requests: Int

        /// Gives up after 3.5 seconds.
        public init(first: Duration = .milliseconds(500), requests: Int = 3) {
            self.first = first
            self.requests = requests
        }
    }

    /// What became of one server.
    public enum Outcome: Hashable, Sendable {
        case waiting
        /// It sees us under this endpoint, and took this long to say so, measured from the last request.
        case mapped(Endpoint, roundTrip: Duration)
        case refused(STUNMessage.Failure)
        case noAnswer
        /// The request could not be sent; why, in words.
        case notSent(String)
    }

    public struct Query: Hashable, Sendable {
        public let server: Endpoint
        public internal(set) var outcome = Outcome.waiting
        let transaction: STUNMessage.Transaction
        var sent = 0
        var lastSent = Instant(nanoseconds: 0)
        var next: Instant
        var pause: Duration
    }

    private let timing: Timing
    /// One for each server, in the order given.
    public private(set) var queries: [Query]

    /// - Parameter servers: each is asked once, however often it is named.
    public init(
        servers: [Endpoint], at now: Instant, timing: Timing = Timing(),
        using generator: inout some RandomNumberGenerator
    ) {
        self.timing = timing
        var seen: Set<Endpoint> = []
        queries = []
        for server in servers where seen.insert(server).inserted {
            queries.append(
                Query(server: server, transaction: .random(using: &generator), next: now, pause: timing.first))
        }
    }

    public var isDone: Bool { queries.allSatisfy { $0.outcome != .waiting } }

    /// When ``nextRequest(at:)`` has to be called again; nil when all is done.
    public var nextTime: Instant? { queries.filter { $0.outcome == .waiting }.map(\.next).min() }

    /// A request that is due; to be called until it gives nil.
    public mutating func nextRequest(at now: Instant) -> (bytes: [UInt8], server: Endpoint)? {
        for index in queries.indices where queries[index].outcome == .waiting && queries[index].next <= now {
            guard queries[index].sent < timing.requests else {
                queries[index].outcome = .noAnswer
                continue
            }
            queries[index].sent += 1
            queries[index].lastSent = now
            queries[index].next = now.advanced(by: queries[index].pause)
            queries[index].pause = queries[index].pause * 2
            return (STUNMessage.request(queries[index].transaction), queries[index].server)
        }
        return nil
    }

    /// A request could not be sent.
    public mutating func failed(_ server: Endpoint, _ reason: String) {
        for index in queries.indices where queries[index].server == server && queries[index].outcome == .waiting {
            queries[index].outcome = .notSent(reason)
        }
    }

    /// Takes a datagram; false when it is no answer to any of our requests. An answer is believed only from whom we asked
    /// and with the number that we chose.
    @discardableResult
    public mutating func receive(_ datagram: [UInt8], from source: Endpoint, at now: Instant) -> Bool {
        guard let message = STUNMessage(datagram), message.method == STUNMessage.binding,
            let index = queries.firstIndex(where: {
                $0.server == source && $0.transaction == message.transaction && $0.outcome == .waiting && $0.sent > 0
            })
        else { return false }
        switch (message.kind, message.mapped, message.failure) {
        case (.success, let mapped?, _) where message.unknownAttributes.isEmpty:
            let taken = now.nanoseconds &- queries[index].lastSent.nanoseconds
            queries[index].outcome = .mapped(mapped, roundTrip: .nanoseconds(Int64(clamping: taken)))
        case (.failure, _, let failure?): queries[index].outcome = .refused(failure)
        default: return false
        }
        return true
    }

    /// What the answers so far say together, for each family of which there was one.
    public var mappings: [IPAddress.Family: Mapping] {
        var seen: [IPAddress.Family: [Endpoint]] = [:]
        for case .mapped(let endpoint, _) in queries.map(\.outcome) {
            seen[endpoint.address.family, default: []].append(endpoint)
        }
        return seen.mapValues { Mapping(seen: $0) }
    }
}
