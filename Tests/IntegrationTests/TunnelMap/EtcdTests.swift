// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

private let hasEtcd = ["etcd", "etcdctl"].allSatisfy { name in
    unsafe access("/usr/bin/" + name, X_OK) == 0
}

extension Integration {
    @Suite("Tunnel map and etcd", .enabled(if: hasEtcd, "needs etcd-server and etcd-client"))
    struct TunnelMapFleets {
        private static let url = "http://192.0.2.100:2379"

        private func startEtcd(_ net: MapHosts) async throws -> ChildProcess {
            let folder = net.wire.folder
            let etcd = try net.wire.start([
                "etcd", "--data-dir", "\(folder)/etcd", "--listen-client-urls", Self.url, "--advertise-client-urls",
                Self.url, "--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync",
            ])
            try await eventually("etcd", within: 20) {
                try await net.wire.attempt(["etcdctl", "--endpoints", Self.url, "get", "x"]).status == 0
            }
            return etcd
        }

        private func etcdctl(_ net: MapHosts, _ arguments: String...) async throws {
            let output = try await net.wire.attempt(["etcdctl", "--endpoints", Self.url] + arguments)
            guard output.status == 0 else { throw TestFailure("\(output)") }
        }

        private func put(_ net: MapHosts, _ prefix: String, _ peers: [Int]) async throws {
            let hops = peers.map { #"{"peer": "host\#($0)"}"# }.joined(separator: ", ")
            try await etcdctl(
                net, "put", "/weft/tunnel-map/prefixes/\(prefix)", #"{"nexthops": [\#(hops)], "neverInTheClear": true}"#
            )
        }

        private func has(_ host: Host, _ prefix: String) async throws -> Bool {
            try await host.mapStatus().prefixes.contains { $0.prefix == prefix }
        }

        @Test("A fleet shares one truth, and forwards while etcd is away")
        func fleet() async throws {
            let net = try await MapHosts()
            try await net.wire.shell("ip link set lo up && ip address add 192.0.2.100/24 dev bridge")
            var etcd = try await startEtcd(net)
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
                agents.append(try await net.run(number, "--etcd", Self.url, "--insecure"))
            }
            for (from, to) in [(1, 2), (2, 3), (3, 1)] {
                try await net.hosts[from - 1].expectAnswer(from: "10.1.\(to).1")
            }
            let client = net.hosts[0]
            for round in 0..<10 {
                try await put(net, "10.20.\(round).0/24", [2, 3])
                try await eventually("the change on all", within: 1) {
                    for host in net.hosts where try await !has(host, "10.20.\(round).0/24") { return false }
                    return true
                }
            }
            // Neither a value that is no JSON nor one of somebody who isn't there does any harm.
            try await etcdctl(net, "put", "/weft/tunnel-map/prefixes/10.20.0.0/24", "{")
            try await put(net, "10.21.0.0/24", [9])

            let flood = try client.start(["ping", "-n", "-q", "-i", "0.01", "-w", "8", "10.1.2.1"])
            etcd.signalCommand(SIGKILL)
            try await eventually("etcd's end") { etcd.hasEnded }
            try await Task.sleep(for: .seconds(2))
            etcd = try await startEtcd(net)
            try await Task.sleep(for: .seconds(1.5))
            try await put(net, "10.22.0.0/24", [3])
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
