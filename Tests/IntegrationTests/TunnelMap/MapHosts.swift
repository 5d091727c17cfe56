// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// Three hosts on one underlay, 192.0.2.N and fd00::c000:20N, each with an overlay interface (10.1.N.1, fd01:N::1) that all of the
/// overlay's routes point to, and a VXLAN device that takes keys.
struct MapHosts: Sendable {
    static let map = "w6"

    let hosts: [Host]
    let wire: Host

    init(count: Int = 3) async throws {
        wire = try await Host("wire")
        try await wire.shell("ip link add bridge type bridge && ip link set bridge up")
        var hosts: [Host] = []
        for number in 1...count {
            let host = try await Host("host\(number)")
            let link = try await ChildProcess([
                "ip", "link", "add", "name", "underlay", "netns", "\(host.processIdentifier)", "type", "veth",
                "peer", "name", "port\(number)", "netns", "\(wire.processIdentifier)",
            ]).wait()
            guard link.status == 0 else { throw TestFailure("\(link)") }
            try await wire.shell("ip link set port\(number) master bridge up")
            try await host.shell(
                """
                ip link set underlay up addrgenmode none
                ip address add 192.0.2.\(number)/24 dev underlay
                ip address add fd00::c000:20\(number)/64 dev underlay nodad
                ip link add overlay type ifb
                ip link set overlay mtu 1400 up addrgenmode none
                ip address add 10.1.\(number).1/32 dev overlay
                ip address add fd01:\(number)::1/128 dev overlay nodad
                ip route add 10.0.0.0/8 dev overlay src 10.1.\(number).1
                ip route add fd01::/16 dev overlay src fd01:\(number)::1
                ip link add vxlan address 02:c0:00:02:0\(number):ff type vxlan external dstport 4789 udp6zerocsumrx
                ip link set vxlan mtu 1430 up addrgenmode none
                for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $file; done
                """)
            hosts.append(host)
        }
        self.hosts = hosts
    }

    static func agent(_ number: Int) -> String { "host\(number)" }

    static func underlay(_ number: Int, v6: Bool = false) -> String {
        v6 ? "fd00::c000:20\(number)" : "192.0.2.\(number)"
    }

    /// A nexthop that leads to a host.
    static func nexthop(_ number: Int, _ kind: String, v6: Bool = false, weight: Int = 1) -> [String: Any] {
        ["peer": agent(number), "remote": underlay(number, v6: v6), "vni": 7, "protocol": kind, "weight": weight]
    }

    /// A host's file: a prefix of each family to every other host, and more.
    func file(
        of number: Int, _ kind: String = "vxlan", v6: Bool = false, isProbed: Bool = false,
        more: [[String: Any]] = [], _ change: (inout [String: Any]) -> Void = { _ in }
    ) throws {
        let others = (1...hosts.count).filter { $0 != number }
        var file: [String: Any] = [
            "name": Self.map, "agent": Self.agent(number), "interface": "overlay",
            "local": [Self.underlay(number), Self.underlay(number, v6: true)],
            "devices": ["vxlan": "vxlan", "geneve-direct": "underlay"],
        ]
        if kind == "geneve-direct" { file["decapsulate"] = ["underlay"] }
        file["prefixes"] =
            others.flatMap { other in
                ["10.1.\(other).0/24", "fd01:\(other)::/32"].map { prefix -> [String: Any] in
                    ["prefix": prefix, "nexthops": [Self.nexthop(other, kind, v6: v6)], "neverInTheClear": true]
                }
            } + more
        if isProbed {
            try hosts[number - 1].write(String(repeating: "5a", count: 32), to: "fleet.key")
            file["key"] = "\(hosts[number - 1].folder)/fleet.key"
            file["peers"] = Dictionary(
                uniqueKeysWithValues: others.map { (Self.agent($0), ["probe": Self.underlay($0, v6: v6)]) })
        }
        change(&file)
        let data = try JSONSerialization.data(withJSONObject: file)
        try hosts[number - 1].write(String(decoding: data, as: UTF8.self), to: "map.json")
    }

    /// Starts a host's agent and waits until it has loaded the map.
    func run(_ number: Int, _ more: String...) async throws -> ChildProcess {
        let host = hosts[number - 1]
        let agent = try host.start([WeftCommand.path, "tunnel-map", "run", "\(host.folder)/map.json"] + more)
        try await eventually("the agent of \(host.name)") {
            let text = agent.output.standardError
            if agent.hasEnded { throw TestFailure("\(agent.output)") }
            return ["loaded", "took over", "replaced"].contains { text.contains($0) }
        }
        return agent
    }
}

extension ChildProcess {
    /// Signals the command itself: the process that was started entered the host's namespaces and waits for it.
    func signalCommand(_ signal: Int32) {
        let path = "/proc/\(identifier)/task/\(identifier)/children"
        let children = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        for child in children.split(separator: " ").compactMap({ pid_t($0) }) { _ = Glibc.kill(child, signal) }
    }
}

/// What the tests read of `weft tunnel-map show --json`.
struct MapStatus: Decodable {
    struct Peer: Decodable {
        let name: String
        let healthy: Bool
        let draining: Bool
    }

    struct Entry: Decodable {
        struct Hop: Decodable {
            let peer: String
            let packets: UInt64
        }
        let prefix: String
        let nexthops: [Hop]
    }

    struct Count: Decodable { let packets: UInt64 }

    let interfaces: [String]
    let peers: [Peer]
    let prefixes: [Entry]
    let outcomes: [String: Count]

    func isHealthy(_ number: Int) -> Bool? { peers.first { $0.name == MapHosts.agent(number) }?.healthy }

    func packets(_ prefix: String, to number: Int) -> UInt64 {
        prefixes.first { $0.prefix == prefix }?.nexthops.first { $0.peer == MapHosts.agent(number) }?.packets ?? 0
    }
}

extension Host {
    func mapStatus() async throws -> MapStatus {
        let text = try await run(WeftCommand.path, "tunnel-map", "show", MapHosts.map, "--json")
        let all = try JSONDecoder().decode([MapStatus].self, from: Data(text.utf8))
        guard all.count == 1 else { throw TestFailure("\(all.count) maps instead of one: \(text)") }
        return all[0]
    }
}
