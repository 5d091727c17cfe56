// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

extension Integration {
    @Suite("Tunnel map and etcd", .enabled(if: hasEtcd, "needs etcd-server and etcd-client"))
    struct TunnelMapFleets {
        private func put(_ etcd: EtcdHost, _ prefix: String, _ peers: [Int]) async throws {
            try await etcd.put(prefix, peers.map { #"{"peer": "host\#($0)"}"# }.joined(separator: ", "))
        }

        private func has(_ host: Host, _ prefix: String) async throws -> Bool {
            try await host.mapStatus().prefixes.contains { $0.prefix == prefix }
        }

        @Test("A fleet shares one truth, and forwards while etcd is away")
        func fleet() async throws {
            let net = try await MapHosts()
            let host = try await EtcdHost(net)
            var etcd = try await host.start()
            var agents: [ChildProcess] = []
            for number in 1...3 {
                try net.file(of: number, isProbed: true) { file in
                    file["prefixes"] = nil
                    file["peers"] = nil
                    file["announce"] = [
                        "prefixes": ["10.1.\(number).0/24"], "vni": 7, "probe": MapHosts.underlay(number),
                        "neverInTheClear": true,
                    ]
                }
                agents.append(try await net.run(number, "--etcd", host.url, "--insecure"))
            }
            for (from, to) in [(1, 2), (2, 3), (3, 1)] {
                try await net.hosts[from - 1].expectAnswer(from: "10.1.\(to).1")
            }
            let client = net.hosts[0]
            for round in 0..<10 {
                try await put(host, "10.20.\(round).0/24", [2, 3])
                try await eventually("the change on all", within: 1) {
                    for member in net.hosts where try await !has(member, "10.20.\(round).0/24") { return false }
                    return true
                }
            }
            // Neither a value that is no JSON nor one of somebody who isn't there does any harm.
            try await host.run("put", "/weft/tunnel-map/prefixes/10.20.0.0/24", "{")
            try await put(host, "10.21.0.0/24", [9])

            let flood = try client.start(["ping", "-n", "-q", "-i", "0.01", "-w", "8", "10.1.2.1"])
            try await host.kill(etcd)
            try await Task.sleep(for: .seconds(2))
            etcd = try await host.start()
            try await Task.sleep(for: .seconds(1.5))
            try await put(host, "10.22.0.0/24", [3])
            try await eventually("the change after a restart", within: 2) { try await has(client, "10.22.0.0/24") }
            #expect(try await has(client, "10.20.0.0/24"))
            let output = try await flood.wait(atMost: 20)
            #expect(output.standardOutput.contains(" 0% packet loss"), "\(output)")

            // One that dies is dead at once, and gone with its lease.
            agents[2].signalCommand(SIGKILL)
            try await eventually("host3 dead", within: 2) { try await client.mapStatus().isHealthy(3) == false }
            withExtendedLifetime((agents, etcd)) {}
        }
    }
}
