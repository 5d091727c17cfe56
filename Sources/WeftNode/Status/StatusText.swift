// SPDX-License-Identifier: Apache-2.0
import WeftCommand

extension Status {
    /// Reads as `wg show` does.
    package var lines: [String] {
        var lines = [
            "\(Console.bold("interface")): \(Console.bold(interface.name))"
        ]
        if let key = interface.publicKey { lines.append("  \(Console.bold("public key")): \(key)") }
        lines += [
            "  \(Console.bold("addresses")): \(interface.addresses.joined(separator: ", "))",
            "  \(Console.bold("listening port")): \(interface.listenPort)\(interface.listenAddress.map { " at \($0)" } ?? "")",
            "  \(Console.bold("mtu")): \(interface.mtu)",
            "  \(Console.bold("driver")): \(driver)",
            "  \(Console.bold("cipher")): \(cipher)",
        ]
        if !driverCounters.isEmpty {
            let counters = driverCounters.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            lines.append("  \(Console.bold("driver counters")): \(counters.joined(separator: ", "))")
        }
        if let through = interface.through { lines.append("  \(Console.bold("through")): \(through)") }
        if interface.mark != 0 {
            lines.append("  \(Console.bold("fwmark")): 0x\(String(interface.mark, radix: 16))")
        }
        if interface.answersStrangers {
            lines.append("  \(Console.bold("strangers")): answered, as Protocol = 1 asks")
        }
        if let control {
            lines.append("  \(Console.bold("control process")): \(control.text)")
        }
        if !refusedCalls.isEmpty {
            let calls = refusedCalls.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
            lines.append("  \(Console.bold("refused system calls")): \(calls)")
        }
        lines += host.text.map { "  \(Console.bold("host")): \($0)" }
        if let stun {
            lines += stun.text.map { "  \(Console.bold($0.name)): \($0.value)" }
        }
        if !totals.streams.isEmpty {
            lines.append("  \(Console.bold("other packets")): \(Self.list(totals.streams.map { ($0.key, $0.value) }))")
        }
        if let keyServer {
            lines.append("  \(Console.bold(keyServer.summary.name)): \(keyServer.summary.value)")
            lines += keyServer.lines
        }
        for peer in peers { lines += peer.lines }
        let unattributed = totals.drops.compactMap { reason, count in
            let known = peers.reduce(0) { $0 + ($1.drops[reason] ?? 0) }
            return count > known ? (reason, count - known) : nil
        }
        if !unattributed.isEmpty {
            let what = keyServer == nil ? "dropped without a peer" : "dropped in all networks, or in none"
            lines += ["", "\(Console.bold(what)): \(Self.list(unattributed))"]
        }
        return lines
    }

    static func list(_ drops: [(String, UInt64)]) -> String {
        drops.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }
}

extension Status.Peer {
    fileprivate var lines: [String] {
        var lines = ["", "\(Console.bold("peer")): \(publicKey ?? vni.map { "vni \($0)" } ?? "")"]
        func add(_ name: String, _ value: String) { lines.append("  \(Console.bold(name)): \(value)") }
        if hasPresharedKey == true { add("preshared key", "(hidden)") }
        if let name { add("name", name.text) }
        add("endpoint", endpoint ?? "(unknown)")
        if let path { add("path", path.text) }
        if let nextHop { add("next hop", nextHop) }
        add("allowed ips", allowedIPs.joined(separator: ", "))
        if let agreement {
            let ago = agreement.latest.map { ", keys agreed \(Units.ago($0))" } ?? ""
            let why = agreement.state == "connected" ? "" : agreement.lastFailure.map { ": \($0)" } ?? ""
            add("session", agreement.state + ago + why)
            if !agreement.hostsWithKey.isEmpty {
                let places = agreement.hostsWithKey.joined(separator: " and one at ")
                add("key", "two hosts have it, one at \(places): give each host a key of its own")
            }
        }
        if let latestReceive { add("latest receive", Units.ago(latestReceive)) }
        add("transfer", "\(Units.bytes(rx.bytes)) received, \(Units.bytes(tx.bytes)) sent")
        if let send { add("send", send.text) }
        if sendKeyIsShared == true { add("send key", "another host seals with it, too: nothing more is sent") }
        for association in receive { add("receive", association.text) }
        if let persistentKeepalive {
            add("persistent keepalive", "every \(Units.duration(Double(persistentKeepalive)))")
        }
        if !drops.isEmpty { add("drops", Status.list(drops.map { ($0.key, $0.value) })) }
        return lines
    }
}

extension Status.Path {
    fileprivate var text: String {
        var parts = ["round trip \((roundTrip * 10).rounded() / 10) ms"]
        if let latestAnswer { parts.append("answered \(Units.ago(latestAnswer))") }
        if let localAddress { parts.append("from \(localAddress)") }
        if let mtu { parts.append("\(mtu) bytes pass") }
        if isSilent { parts.append("silent") }
        return parts.joined(separator: ", ")
    }
}

extension Status.ControlProcess {
    /// What people want to know of it: since when it works, and how often and why others ended.
    fileprivate var text: String {
        var parts: [String] = []
        if let processID, let uptime {
            parts.append("\(processID), up \(Units.duration(uptime))")
        } else {
            parts.append("away: keys that are there go on working")
        }
        if ends > 0 {
            let when = lastEndAge.map { " \(Units.ago($0))" } ?? ""
            let why = lastEnd.map { ": \($0)" } ?? ""
            parts.append("\(ends) ended, the last\(when)\(why)")
        }
        return parts.joined(separator: "; ")
    }
}

extension Status.Name {
    fileprivate var text: String {
        let found = addresses.isEmpty ? "" : " is \(addresses.joined(separator: ", "))"
        return host + found + (failure.map { (found.isEmpty ? " " : "; it ") + "can't be looked up: \($0)" } ?? "")
    }
}

extension Status.Association {
    fileprivate var text: String {
        "vni \(vni), spi \(spi), " + (expiresIn.map { "\(Units.duration($0)) left" } ?? "no expiry")
    }
}

/// Numbers as `wg show` writes them.
enum Units {
    static func bytes(_ count: UInt64) -> String {
        guard count >= 1024 else { return "\(count) B" }
        var value = Double(count)
        var unit = "B"
        for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 {
            value /= 1024
            unit = next
        }
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) \(unit)"
    }

    static func ago(_ seconds: Double) -> String {
        seconds < 1 ? "now" : "\(duration(seconds)) ago"
    }

    static func duration(_ seconds: Double) -> String {
        var left = Int(seconds.rounded(.down))
        var parts: [String] = []
        for (name, size) in [("day", 86_400), ("hour", 3600), ("minute", 60)] where left >= size {
            parts.append("\(left / size) \(name)\(left / size == 1 ? "" : "s")")
            left %= size
        }
        if left > 0 || parts.isEmpty { parts.append("\(left) second\(left == 1 ? "" : "s")") }
        return parts.joined(separator: ", ")
    }
}
