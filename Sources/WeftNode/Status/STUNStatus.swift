// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftDiscovery

/// What STUN servers said, for `weft show` and `weft stun`. Names and units are stable.
package struct STUNStatus: Codable, Sendable {
    package struct Server: Codable, Sendable {
        /// As it was named.
        let server: String
        /// The endpoint that was asked; nil where the name is not known.
        let address: String?
        /// The endpoint that it sees us under; nil while it hasn't answered.
        let mapped: String?
        let milliseconds: Double?
        /// Why there is no answer.
        let error: String?
    }

    package struct Mapping: Codable, Sendable {
        /// 4 or 6.
        let family: UInt8
        let endpoint: String
        /// Nil when only one server answered.
        let dependsOnDestination: Bool?
    }

    package let servers: [Server]
    /// One for each address family in which a server answered.
    package let mappings: [Mapping]
    /// Requests of others that were answered.
    package let answered: UInt64
}

extension STUNStatus {
    init(_ results: [STUNRound.Result], _ mappings: [IPAddress.Family: WeftDiscovery.Mapping], answered: UInt64) {
        servers = results.map(Server.init)
        self.mappings = mappings.sorted { $0.key.rawValue < $1.key.rawValue }.map { family, mapping in
            Mapping(
                family: family.rawValue, endpoint: mapping.endpoint.description,
                dependsOnDestination: mapping.dependsOnDestination)
        }
        self.answered = answered
    }

    init(_ state: STUNAgent.State) { self.init(state.results, state.mappings, answered: state.answered) }

    package init(_ round: STUNRound) { self.init(round.results, round.mappings, answered: 0) }

    /// Names and values for people: what is known of our own address, and what went wrong.
    package var text: [(name: String, value: String)] {
        var lines = mappings.map { (name: "public endpoint", value: $0.text) }
        for server in servers where server.error != nil { lines.append((name: "stun server", value: server.text)) }
        if answered > 0 { lines.append((name: "stun requests answered", value: "\(answered)")) }
        return lines
    }
}

extension STUNStatus.Mapping {
    package var text: String {
        switch dependsOnDestination {
        case nil: "\(endpoint) (as one server sees it)"
        case false?: "\(endpoint), the same for every destination asked"
        case true?: "\(endpoint), and others for other destinations"
        }
    }
}

extension STUNStatus.Server {
    init(_ result: STUNRound.Result) {
        server = result.server.description
        address = result.address?.description
        var seen: (Endpoint, Duration)?
        switch result.outcome {
        case .mapped(let endpoint, let roundTrip):
            seen = (endpoint, roundTrip)
            error = nil
        case .waiting: error = "no answer yet"
        case .noAnswer: error = "no answer"
        case .refused(let failure): error = "it refused: \(failure.code) \(failure.reason)"
        case .notSent(let reason): error = reason
        }
        mapped = seen?.0.description
        milliseconds = seen.map { Double($0.1 / .microseconds(1)).rounded() / 1000 }
    }

    /// The server, and what it said.
    package var text: String {
        let who = address.map { $0 == server ? server : "\(server) (\($0))" } ?? server
        if let mapped, let milliseconds { return "\(who) sees \(mapped), in \(milliseconds) ms" }
        return "\(who): \(error ?? "no answer")"
    }
}
