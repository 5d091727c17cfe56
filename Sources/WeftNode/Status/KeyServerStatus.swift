// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftConfig
import WeftControl
import WeftPair

/// What a key server says of itself, for `weft show`. Names and units are stable.
struct KeyServerStatus: Codable, Sendable {
    struct Initiator: Codable, Sendable {
        let publicKey: String
        /// What the log calls it.
        let name: String
        /// `connected` or `absent`.
        let state: String
        let sessions: Int
        /// Where the newest session comes from.
        let endpoint: String?
        let allowedIPs: [String]
        /// Networks that it holds.
        let networks: Int
        let mostNetworks: Int
        /// VNIs that it had and that nobody may have yet.
        let quarantined: Int
        let grants: UInt64
        let releases: UInt64
        /// Requests and releases that had to wait for `RequestLimit`.
        let delayed: UInt64
        /// By reason; those that never occurred are left out.
        let refusals: [String: UInt64]
    }

    /// Sums over all initiators.
    struct Totals: Codable, Sendable {
        let connected: Int
        let networks: Int
        let quarantined: Int
        let grants: UInt64
        let releases: UInt64
        let delayed: UInt64
        let refusals: [String: UInt64]
        /// Calls that came to nothing: strangers', and initiators' that failed.
        let turnedAway: UInt64
    }

    struct Network: Codable, Sendable {
        let vni: UInt32
        let address: String
        /// The initiator's name.
        let initiator: String
        let endpoint: String?
        /// Seconds; nil for no end.
        let expiresIn: Double?
        /// Seconds since the last authentic datagram; nil before the first.
        let latestReceive: Double?
        let rx: Status.Traffic
        let tx: Status.Traffic
        /// By reason; those without a drop are left out.
        let drops: [String: UInt64]
    }

    /// In the file's order.
    let initiators: [Initiator]
    let totals: Totals
    /// Nil unless they were asked for.
    let networks: [Network]?

    init(_ initiators: [Initiator], networks: [Network]?, turnedAway: UInt64) {
        self.initiators = initiators
        self.networks = networks
        // What a control process counts may be anything, and sums of it must not trap.
        totals = Totals(
            connected: initiators.count { $0.sessions > 0 }, networks: initiators.reduce(0) { $0 + $1.networks },
            quarantined: initiators.reduce(0) { $0 + $1.quarantined }, grants: initiators.reduce(0) { $0 &+ $1.grants },
            releases: initiators.reduce(0) { $0 &+ $1.releases }, delayed: initiators.reduce(0) { $0 &+ $1.delayed },
            refusals: initiators.reduce(into: [:]) { $0.merge($1.refusals, uniquingKeysWith: &+) },
            turnedAway: turnedAway)
    }
}

extension KeyServerStatus.Initiator {
    init(_ initiator: InitiatorConfiguration, _ status: InitiatorStatusRecord) {
        publicKey = initiator.publicKey.description
        name = initiator.publicKey.shortName
        state = status.sessions > 0 ? "connected" : "absent"
        sessions = Int(status.sessions)
        endpoint = status.endpoint?.description
        allowedIPs = initiator.allowedIPs.map(\.description)
        networks = Int(status.networks)
        mostNetworks = initiator.networks
        quarantined = Int(status.quarantined)
        grants = status.grants
        releases = status.releases
        delayed = status.delayed
        refusals = Dictionary(uniqueKeysWithValues: status.refusals.map { ($0.key.rawValue, $0.value) })
    }
}

extension KeyServerStatus.Network {
    init(_ granted: GrantRecord, _ holder: PublicKey, _ network: NetworkStatus, at now: Instant) {
        vni = granted.vni
        address = granted.address.description
        initiator = holder.shortName
        endpoint = network.endpoint?.description
        expiresIn = network.transmit.flatMap { now.secondsLeft(until: $0.expiry) }
        latestReceive = network.statistics.lastReceive.map { now.seconds(since: $0) }
        rx = .init(receivedBy: network.statistics)
        tx = .init(sentBy: network.statistics)
        drops = network.statistics.dropsByName
    }
}

extension KeyServerStatus {
    /// A line for the whole server, among those of the interface.
    var summary: (name: String, value: String) {
        let inVain = totals.turnedAway == 0 ? "" : ", \(totals.turnedAway) calls in vain"
        return ("networks", "\(totals.networks) granted, \(Self.inQuarantine(totals.quarantined))\(inVain)")
    }

    /// A block for each initiator, with its networks if they are there.
    var lines: [String] {
        let byInitiator = Dictionary(grouping: networks ?? [], by: \.initiator)
        return initiators.flatMap { $0.lines + (byInitiator[$0.name] ?? []).map(\.line) }
    }

    fileprivate static func inQuarantine(_ count: Int) -> String {
        "\(count) VNI\(count == 1 ? "" : "s") in quarantine"
    }
}

extension KeyServerStatus.Initiator {
    fileprivate var lines: [String] {
        var lines = ["", "\(Console.bold("initiator")): \(name)"]
        func add(_ name: String, _ value: String) { lines.append("  \(Console.bold(name)): \(value)") }
        let from = endpoint.map { sessions == 1 ? " from \($0)" : ", \(sessions) sessions, the newest from \($0)" }
        add("public key", publicKey)
        add("session", state + (from ?? ""))
        add("allowed ips", allowedIPs.joined(separator: ", "))
        add("networks", "\(networks) of \(mostNetworks), \(KeyServerStatus.inQuarantine(quarantined))")
        let waited = delayed == 0 ? "" : ", \(delayed) requests had to wait"
        add("grants", "\(grants), \(releases) released\(waited)")
        if !refusals.isEmpty { add("refused", Status.list(refusals.map { ($0.key, $0.value) })) }
        return lines
    }
}

extension KeyServerStatus.Network {
    fileprivate var line: String {
        let transfer = "\(Units.bytes(rx.bytes)) received, \(Units.bytes(tx.bytes)) sent"
        let left = expiresIn.map { ", \(Units.duration($0)) left" } ?? ""
        let dropped = drops.isEmpty ? "" : "; drops: \(Status.list(drops.map { ($0.key, $0.value) }))"
        return "  \(Console.bold("vni \(vni)")): \(address), \(transfer)\(left)\(dropped)"
    }
}
