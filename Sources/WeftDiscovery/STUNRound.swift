// SPDX-License-Identifier: Apache-2.0
import Weft

/// One round of questions to servers that are known by name.
public struct STUNRound: Sendable {
    /// What became of one server, or of one of its addresses.
    public struct Result: Hashable, Sendable {
        public let server: STUNServerName
        /// Nil where the name is not known.
        public let address: Endpoint?
        public let outcome: STUNClient.Outcome
    }

    var client: STUNClient
    private var names: [Endpoint: STUNServerName] = [:]
    private var unknown: [STUNServerName] = []

    /// Looks the names up, which can take the resolver seconds.
    public init(servers: [STUNServerName], timing: STUNClient.Timing = .init(), clock: () -> Instant) {
        var endpoints: [Endpoint] = []
        for server in servers {
            let found = server.resolve()
            if found.isEmpty { unknown.append(server) }
            for endpoint in found {
                endpoints.append(endpoint)
                names[endpoint] = names[endpoint] ?? server
            }
        }
        var generator = SystemRandomNumberGenerator()
        client = STUNClient(servers: endpoints, at: clock(), timing: timing, using: &generator)
    }

    public var isDone: Bool { client.isDone }

    public var results: [Result] {
        client.queries.compactMap { query in
            names[query.server].map { Result(server: $0, address: query.server, outcome: query.outcome) }
        } + unknown.map { Result(server: $0, address: nil, outcome: .notSent("no such host is known")) }
    }

    public var mappings: [IPAddress.Family: Mapping] { client.mappings }

    /// Sends what is due with `send`, which says why it could not.
    mutating func sendRequests(at now: Instant, _ send: (RawSpan, Endpoint) -> SendFailure?) {
        while let (bytes, server) = client.nextRequest(at: now) {
            // Safe: a UInt8 has no padding.
            guard let failure = unsafe send(bytes.span.bytes, server) else { continue }
            client.failed(server, failure.description)
        }
    }

    /// Milliseconds until something is due, `longest` at most.
    func timeout(at now: Instant, longest: Int32) -> Int32 {
        guard let next = client.nextTime else { return longest }
        guard next > now else { return 0 }
        return Int32(clamping: min((next.nanoseconds - now.nanoseconds) / 1_000_000 + 1, UInt64(longest)))
    }
}

extension SendFailure {
    /// In words, to follow what was tried.
    var description: String {
        switch self {
        case .tooLong: "too long for the path"
        case .refused(let code): SystemCall.message(code)
        }
    }
}
