// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Foundation
import Glibc
import Testing

/// Whether this kernel makes devices of a kind; tried in a network that goes at once.
private func hasDevice(_ arguments: String) -> Bool {
    unsafe geteuid() == 0 && system("unshare --net ip link add other type \(arguments) 2>/dev/null") == 0
}

extension Integration {
    @Suite("Tunnel map and other devices")
    struct TunnelMapDevices {
        /// The packets that an interface has taken.
        private func taken(_ interface: String, on host: Host) async throws -> Int {
            let text = try await host.run("cat", "/proc/net/dev")
            guard let line = text.split(separator: "\n").first(where: { $0.contains("\(interface):") }),
                let rest = line.split(separator: ":").last
            else { throw TestFailure("no \(interface) in \(text)") }
            let numbers = rest.split(separator: " ").compactMap { Int($0) }
            guard numbers.count > 11 else { throw TestFailure("\(line)") }
            // An ifb counts what it is given as received; others count what they send, or drop for want of a peer.
            return numbers[1] + numbers[9] + numbers[10] + numbers[11]
        }

        // VXLAN and ifb stand in where the kernel lacks these: the key is set and packets are redirected in the same way.

        @Test(
            "Redirects to a Geneve device",
            .enabled(if: hasDevice("geneve external"), "this kernel has no geneve device"))
        func geneve() async throws { try await redirects("geneve", "geneve external") }

        @Test("Redirects to an IPIP device", .enabled(if: hasDevice("ipip external"), "this kernel has no ipip device"))
        func ipip() async throws { try await redirects("ipip", "ipip external") }

        @Test(
            "Redirects to a WireGuard device",
            .enabled(if: hasDevice("wireguard"), "this kernel has no wireguard device"))
        func wireguard() async throws { try await redirects("wireguard", "wireguard") }

        private func redirects(_ kind: String, _ arguments: String) async throws {
            let net = try await MapHosts(count: 1)
            try await net.hosts[0].shell("ip link add other type \(arguments) && ip link set other up")
            try await expectRedirection(net, kind, "other")
        }

        @Test("What is cut off inside its IP header is dropped and counted")
        func cutOff() async throws {
            let net = try await MapHosts(count: 1)
            try net.file(of: 1)
            let agent = try await net.run(1)
            let ethertypes: [[UInt8]] = [[0x08, 0x00], [0x86, 0xDD]]
            let before = try await net.hosts[0].mapStatus().outcomes["malformed"]?.packets ?? 0
            try await net.hosts[0].inNetwork {
                let raw = socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0)
                defer { close(raw) }
                // A sockaddr_ll, which Glibc's module leaves out: family, protocol, interface, and the rest zeros.
                var address = [UInt8](repeating: 0, count: 20)
                let index = unsafe if_nametoindex("overlay")
                address[0] = UInt8(AF_PACKET)
                for byte in 0..<4 {
                    address[4 + byte] = UInt8(truncatingIfNeeded: index.littleEndian >> UInt32(8 * byte))
                }
                for ethertype in ethertypes {
                    for count in [1, 10, 19] {
                        let frame =
                            [UInt8](repeating: 2, count: 12) + ethertype + [UInt8](repeating: 0x45, count: count)
                        let sent = unsafe address.withUnsafeBytes { bytes in
                            unsafe sendto(
                                raw, frame, frame.count, 0, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, 20
                            )
                        }
                        // The drop is told to the sender by some kernels.
                        guard sent == frame.count || errno == ENOBUFS else {
                            throw TestFailure("cannot send: \(lastError)")
                        }
                    }
                }
            }
            #expect(try await net.hosts[0].mapStatus().outcomes["malformed"]?.packets == before + 6)
            withExtendedLifetime(agent) {}
        }

        @Test("Redirects to a plain device")
        func plain() async throws {
            let net = try await MapHosts(count: 1)
            try await net.hosts[0].shell("ip link add other type ifb && ip link set other up addrgenmode none")
            try await expectRedirection(net, "plain", "other")
        }

        private func expectRedirection(_ net: MapHosts, _ kind: String, _ device: String) async throws {
            let host = net.hosts[0]
            let nexthop: [String: Any] = [
                "peer": "far", "remote": "192.0.2.9", "vni": 5, "protocol": kind, "interface": device,
            ]
            try net.file(of: 1, more: [["prefix": "10.8.0.0/16", "nexthops": [nexthop]]])
            let agent = try await net.run(1)
            let before = try await taken(device, on: host)
            _ = try await host.attempt(["ping", "-n", "-q", "-c", "20", "-i", "0.01", "-W", "0.1", "10.8.1.1"])
            #expect(try await host.mapStatus().packets("10.8.0.0/16", toPeer: "far") == 20)
            #expect(try await taken(device, on: host) - before >= 20)
            withExtendedLifetime(agent) {}
        }

        @Test("What is unhealthy leaves in the clear, or not at all")
        func neverInTheClear() async throws {
            let net = try await MapHosts(count: 2)
            let host = net.hosts[0]
            // Attached to the underlay itself, which the kernel routes these prefixes to.
            let hop = MapHosts.nexthop(2, "vxlan")
            try net.file(of: 1, isProbed: true) { file in
                file["interface"] = "underlay"
                file["prefixes"] = [
                    ["prefix": "10.50.0.0/16", "nexthops": [hop], "neverInTheClear": false],
                    ["prefix": "10.51.0.0/16", "nexthops": [hop], "neverInTheClear": true],
                ]
            }
            try await host.shell(
                "ip route add 10.50.0.0/16 via 192.0.2.2 dev underlay && ip route add 10.51.0.0/16 via 192.0.2.2 dev underlay"
            )
            for address in ["10.50.0.1/32", "10.51.0.1/32"] {
                try await net.hosts[1].run("ip", "address", "add", address, "dev", "overlay")
            }
            try await net.hosts[1].shell(
                "ip address add 10.1.1.2/32 dev overlay; ip route add 10.60.0.1/32 via 192.0.2.1")
            try await host.run("ip", "address", "add", "10.60.0.1/32", "dev", "overlay")
            let agent = try await net.run(1)
            // Nobody answers the probes there: the peer is dead.
            #expect(try await host.pings("10.50.0.1", "-I", "192.0.2.1"))
            #expect(try await host.pings("10.51.0.1", "-I", "192.0.2.1") == false)
            let outcomes = try await host.mapStatus().outcomes
            #expect(outcomes["unhealthyPassed"]?.packets == 1)
            // A refusal on this side makes ping try again.
            #expect(outcomes["unhealthyDropped"].map { $0.packets > 0 } == true)

            // The encapsulated packets meet the classifier again, and are left alone.
            try net.file(of: 2, isProbed: true)
            let other = try await net.run(2)
            try await eventually("health") { try await host.mapStatus().isHealthy(2) == true }
            try await eventually("an answer by the tunnel") { try await host.pings("10.51.0.1", "-I", "192.0.2.1") }
            #expect(try await host.mapStatus().outcomes["encapsulated"].map { $0.packets > 0 } == true)
            withExtendedLifetime((agent, other)) {}
        }
    }
}

extension MapStatus {
    func packets(_ prefix: String, toPeer peer: String) -> UInt64 {
        prefixes.first { $0.prefix == prefix }?.nexthops.first { $0.peer == peer }?.packets ?? 0
    }
}
