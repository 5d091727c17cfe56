// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    @Suite("Tunnel map")
    struct TunnelMaps {
        @Test("Three hosts reach one another", arguments: ["vxlan", "geneve-direct"], [false, true])
        func traffic(_ kind: String, overIPv6: Bool) async throws {
            let net = try await MapHosts()
            var agents: [ChildProcess] = []
            for number in 1...3 {
                try net.file(of: number, kind, v6: overIPv6)
                agents.append(try await net.run(number))
            }
            for (from, to) in [(1, 2), (2, 3), (3, 1)] {
                let host = net.hosts[from - 1]
                for address in ["10.1.\(to).1", "fd01:\(to)::1"] {
                    try await host.expectAnswer(from: address)
                    // Fragments and packets of the overlay's full size.
                    #expect(try await host.pings(address, "-s", "1300"))
                    #expect(try await host.pings(address, "-s", "4000"))
                }
            }
            let payload = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            #expect(try await net.hosts[0].echo(payload, by: net.hosts[1], at: "10.1.2.1", port: 7000) == payload)
            #expect(try await net.hosts[0].echo(payload, by: net.hosts[1], at: "fd01:2::1", port: 7001) == payload)
            let outcomes = try await net.hosts[0].mapStatus().outcomes
            #expect(outcomes["forwarded"].map { $0.packets > 100 } == true)
            #expect(outcomes["failed"]?.packets == 0 && outcomes["malformed"]?.packets == 0)
            if kind == "geneve-direct" { #expect(outcomes["decapsulated"].map { $0.packets > 100 } == true) }
        }

        @Test("A dead nexthop is left within a second, and taken again when it is back")
        func death() async throws {
            let net = try await MapHosts()
            let shared: [String: Any] = [
                "prefix": "10.9.0.0/16", "nexthops": [MapHosts.nexthop(2, "vxlan"), MapHosts.nexthop(3, "vxlan")],
            ]
            var agents: [ChildProcess] = []
            for number in 1...3 {
                try net.file(of: number, isProbed: true, more: number == 1 ? [shared] : [])
                agents.append(try await net.run(number))
            }
            for host in net.hosts[1...] { try await host.run("ip", "address", "add", "10.9.0.1/32", "dev", "overlay") }
            let client = net.hosts[0]
            func isHealthy(_ number: Int, _ wanted: Bool) async throws {
                try await eventually("host\(number) \(wanted ? "healthy" : "dead")") {
                    try await client.mapStatus().isHealthy(number) == wanted
                }
            }
            try await isHealthy(2, true)
            try await isHealthy(3, true)
            try await client.expectAnswer(from: "10.9.0.1")

            // One lookup says who has this flow; that one dies.
            let lookup = try await client.run(
                WeftCommand.path, "tunnel-map", "lookup", "10.9.0.1", "10.1.1.1", "--name", MapHosts.map, "--json")
            struct Answer: Decodable { let chosen: String? }
            let chosen = try JSONDecoder().decode(Answer.self, from: Data(lookup.utf8)).chosen
            let victim = chosen == "host2" ? 2 : 3
            let flood = try client.start(["ping", "-n", "-D", "-O", "-i", "0.02", "-w", "6", "10.9.0.1"])
            try await Task.sleep(for: .seconds(1))
            try await net.hosts[victim - 1].run("ip", "link", "set", "underlay", "down")
            let lines = try await flood.wait(atMost: 20).standardOutput.split(separator: "\n")
            let times = lines.filter { $0.contains("bytes from") }.compactMap { line in
                line.dropFirst().split(separator: "]").first.flatMap { Double($0) }
            }
            let gap = zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? .infinity
            #expect(gap < 1.0, "\(gap) s without an answer")
            #expect(times.count > 100)
            #expect(try await client.mapStatus().isHealthy(victim) == false)

            try await net.hosts[victim - 1].shell(
                "ip link set underlay up && ip address replace fd00::c000:20\(victim)/64 dev underlay nodad")
            try await isHealthy(victim, true)
        }

        @Test("Not a packet is lost when the agent is stopped, killed and started again")
        func takeover() async throws {
            let net = try await MapHosts(count: 2)
            for number in 1...2 { try net.file(of: number, "geneve-direct") }
            var agent = try await net.run(1)
            let other = try await net.run(2)
            let client = net.hosts[0]
            try await client.expectAnswer(from: "10.1.2.1")
            let flood = try client.start(["ping", "-n", "-q", "-i", "0.005", "-c", "800", "10.1.2.1"])
            for signal in [SIGTERM, SIGKILL, SIGKILL] {
                try await Task.sleep(for: .milliseconds(400))
                agent.signalCommand(signal)
                try await eventually("the agent's end") { agent.hasEnded }
                try await Task.sleep(for: .milliseconds(200))
                #expect(try await client.mapStatus().interfaces == ["overlay"])
                agent = try await net.run(1)
                #expect(agent.output.standardError.contains("took over 2 prefixes"))
            }
            let output = try await flood.wait(atMost: 30)
            #expect(output.standardOutput.contains(" 0% packet loss"), "\(output)")
            // The same counters went on.
            #expect(try await client.mapStatus().packets("10.1.2.0/24", to: 2) >= 800)
            let refused = try await client.attempt(
                [WeftCommand.path, "tunnel-map", "run", "\(client.folder)/map.json"])
            #expect(refused.status == 1 && refused.standardError.contains("is running"))
            withExtendedLifetime(other) {}
        }

        @Test("The map follows its file; down removes all of it")
        func fileAndDown() async throws {
            let net = try await MapHosts(count: 2)
            for number in 1...2 { try net.file(of: number) }
            let client = net.hosts[0]
            let before = try await client.networkState()
            let agents = [try await net.run(1), try await net.run(2)]
            try await client.expectAnswer(from: "10.1.2.1")
            try net.file(of: 1) { $0["prefixes"] = [] as [Any] }
            try await eventually("an empty map") { try await client.mapStatus().prefixes.isEmpty }
            try client.write("{", to: "map.json")
            try await eventually("a complaint") { agents[0].output.standardError.contains("left as it was") }
            try net.file(of: 1)
            try await eventually("two prefixes") { try await client.mapStatus().prefixes.count == 2 }
            try await client.expectAnswer(from: "10.1.2.1")
            let drain = try await client.weft("tunnel-map", "drain", "host2", "--name", MapHosts.map)
            #expect(drain.standardOutput == "host2: 2 prefixes changed\n")
            // There is nobody else.
            #expect(try await client.pings("10.1.2.1"))
            let lookup = try await client.weft("tunnel-map", "lookup", "10.1.2.9", "--name", MapHosts.map)
            #expect(lookup.status == 0 && lookup.standardOutput.contains("all of them draining"), "\(lookup)")
            #expect(try await client.weft("tunnel-map", "lookup", "10.7.2.9", "--name", MapHosts.map).status == 1)

            agents[0].signalCommand(SIGTERM)
            #expect(try await agents[0].wait().status == 0)
            #expect(try await client.pings("10.1.2.1"))
            #expect(try await client.weft("tunnel-map", "down", MapHosts.map).status == 0)
            #expect(try await client.pings("10.1.2.1") == false)
            #expect(try await client.weft("tunnel-map", "down", MapHosts.map).status == 3)
            #expect(try await client.weft("tunnel-map", "show", MapHosts.map).status == 3)
            expectSame(try await client.networkState(), before)
        }

        @Test("Without privileges it says which are missing")
        func unprivileged() async throws {
            let net = try await MapHosts(count: 1)
            try net.file(of: 1)
            let host = net.hosts[0]
            for privileges in [["--bounding-set=-all", "--inh-caps=-all"], ["--reuid=65534", "--clear-groups"]] {
                let output = try await host.attempt(
                    ["setpriv"] + privileges + [WeftCommand.path, "tunnel-map", "run", "\(host.folder)/map.json"])
                #expect(output.status == 1)
                #expect(
                    output.standardError.contains("CAP_BPF") && output.standardError.contains("CAP_NET_ADMIN"),
                    "\(output)")
            }
        }
    }
}
