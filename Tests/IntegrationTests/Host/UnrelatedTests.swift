// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftControl

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("What has nothing to do with peers")
    struct Unrelated {
        /// Datagrams on the underlay while a script runs on the left host.
        private func datagrams(_ hosts: HostPair, during script: String) async throws -> Int {
            let capture = try await Capture(on: hosts.right)
            try await hosts.left.shell(script)
            return try await capture.end().count { $0.count > 23 && $0[12] == 8 && $0[13] == 0 && $0[23] == 17 }
        }

        @Test("Interfaces and addresses come and go without a packet to peers", arguments: ["tun", "xdp"])
        func silence(driver: String) async throws {
            let hosts = try await HostPair()
            let keys = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
            for (host, number, key) in [(hosts.left, 1, keys.1), (hosts.right, 2, keys.0)] {
                var text = AgreeingText(number, peerKey: key)
                text.moreOfInterface = ["Driver = \(driver)", "Underlay = underlay"]
                try host.write(text.text)
                try await host.up()
            }
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
            try await Task.sleep(for: .seconds(3))
            let calm = try await datagrams(hosts, during: "sleep 9")
            let busy = try await datagrams(
                hosts,
                during: """
                    for i in $(seq 12); do
                        ip link add one$i type veth peer name two$i
                        ip address add 10.200.$i.1/24 dev one$i; ip address add fd20:$i::1/64 dev one$i nodad
                        ip link set one$i up; ip link set two$i up
                        sleep 0.6
                        ip link delete one$i
                        sleep 0.1
                    done
                    """)
            print("datagrams in 9 s by \(driver): \(calm) on a calm host, \(busy) while 12 interfaces came and went")
            // Each of 24 changes cost some, where they were told.
            #expect(busy <= calm + 12)
        }
    }

    @Suite("Names and numbers that meet")
    struct Meetings {
        @Test("Two names that share 13 letters, over AF_XDP")
        func longNames() async throws {
            let hosts = try await HostPair()
            for host in [hosts.left, hosts.right] { try await host.shell("ip link add unused type ifb") }
            // A cable of its own for each: an interface has one XDP program.
            let link = try await ChildProcess([
                "ip", "link", "add", "name", "second", "netns", "\(hosts.left.processIdentifier)", "type", "veth",
                "peer", "name", "second", "netns", "\(hosts.right.processIdentifier)",
            ]).wait()
            #expect(link.status == 0, "\(link)")
            for (host, number) in [(hosts.left, 1), (hosts.right, 2)] {
                try await host.shell("ip address add 192.0.3.\(number)/30 dev second; ip link set second up")
            }
            let names = ["weft-tunnel-abc", "weft-tunnel-abd"]
            for (index, name) in names.enumerated() {
                var files = TunnelText.pair(network: 77 + index)
                for number in [1, 2] {
                    var file = number == 1 ? files.left : files.right
                    file.listenPort = 6081 + index
                    file.endpoint = "192.0.\(2 + index).\(3 - number):\(6081 + index)"
                    file.moreOfInterface = ["Driver = xdp", "Underlay = \(index == 0 ? "underlay" : "second")"]
                    if number == 1 { files.left = file } else { files.right = file }
                }
                try hosts.left.write(files.left, to: "\(name).conf")
                try hosts.right.write(files.right, to: "\(name).conf")
                try await hosts.left.up(name)
                try await hosts.right.up(name)
            }
            for index in names.indices { try await hosts.left.expectAnswer(from: "10.\(77 + index).0.2", within: 10) }
            for name in names { try await hosts.left.down(name) }
            #expect(try await !hosts.left.run("ip", "-o", "link").contains("weft-"))
        }

        @Test("The same name in two network namespaces is named, and works with a folder of its own")
        func sameName() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp()
            let path = "\(hosts.left.folder)/weft0.conf"
            let output = try await hosts.left.attempt(["unshare", "--net", WeftCommand.path, "up", path])
            #expect(output.status == 1 && output.standardError.contains("in another network namespace"), "\(output)")
            try await hosts.left.shell(
                """
                mkdir -m 700 other state2
                sed 's/^StateDirectory.*/StateDirectory = \(hosts.left.folder.replacing("/", with: "\\/"))\\/state2/' weft0.conf >other/weft0.conf
                chmod 600 other/weft0.conf
                """.inFolder(of: hosts.left))
            let other = try hosts.left.start([
                "unshare", "--net", "env", "WEFT_RUNTIME_DIRECTORY=\(hosts.left.folder)/other", WeftCommand.path, "up",
                "\(hosts.left.folder)/other/weft0.conf",
            ])
            try await eventually("the other one") { other.output.standardError.contains("up on UDP port") }
            #expect(try await hosts.left.pings("10.77.0.2"))
            try await hosts.left.run(
                "env", "WEFT_RUNTIME_DIRECTORY=\(hosts.left.folder)/other", WeftCommand.path, "down", "weft0")
            #expect(try await other.wait().status == 0)
            #expect(try await hosts.left.pings("10.77.0.2"))
        }

        @Test("A host without IPv6 gets its IPv4, with a warning", arguments: ["tun", "xdp"])
        func withoutIPv6(driver: String) async throws {
            let world = try await World(driver: driver)
            try await world.right.up()
            try await world.left.shell(
                "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
            try await world.left.up()
            try await world.left.expectAnswer(from: "198.51.100.1", within: 20)
            try await eventually("a word about IPv6") {
                try await world.left.status().host.trouble.contains { $0.contains("IPv6 is off on weft0") }
            }
            try await world.left.down()
        }

        @Test(
            "VNIs that follow from keys may meet between Weft's ends; others are refused by name, and a VNI in the file helps"
        )
        func derivedVNIs() async throws {
            let host = try await Host("left")
            let own = try PublicKey(try await host.makeIdentity())
            var seen: [UInt32: PublicKey] = [:]
            var pair: (PublicKey, PublicKey)?
            // Of 24 bits two are equal after some 5,000.
            for _ in 0..<100_000 {
                let key = try Identity.generate().publicKey
                if let other = seen.updateValue(key, forKey: ControlPeer.derivedVNI(own, key)) {
                    pair = (other, key)
                    break
                }
            }
            let (one, other) = try #require(pair)
            func file(_ peers: String) throws {
                try host.write("[Interface]\nAddress = 10.77.0.1/24\nPrivateKeyFile = host.key\nDriver = tun\n\(peers)")
            }
            let newer = "[Peer]\nPublicKey = \(other)\nAllowedIPs = 10.77.0.4/32\n"
            let first = "[Peer]\nPublicKey = \(one)\nAllowedIPs = 10.77.0.2/32\nProtocol = 1\n"
            let second = "[Peer]\nPublicKey = \(other)\nAllowedIPs = 10.77.0.3/32\nProtocol = 1\n"
            let words = "is the peer's of line 5 too: it follows from public keys"
            try file(first)
            try await host.up()
            try file(first + newer)
            #expect(try await host.weft("reload", "weft0").status == 0)
            #expect(try await host.status().peers.count == 2)
            try file(first)
            #expect(try await host.weft("reload", "weft0").status == 0)
            try file(first + second)
            for arguments in [["check", "\(host.folder)/weft0.conf"], ["reload", "weft0"]] {
                let output = try await host.attempt([WeftCommand.path] + arguments)
                #expect(output.status == 1 && output.standardError.contains(words), "\(output)")
            }
            #expect(try await host.status().peers.count == 1)
            try file(first + second + "VNI = 5\n")
            #expect(try await host.weft("reload", "weft0").status == 0)
            #expect(try await host.status().peers.count == 2)
            try await host.down()
            try file(first + second)
            let output = try await host.weft("up", "\(host.folder)/weft0.conf")
            #expect(output.status == 1 && output.standardError.contains(words), "\(output)")
        }
    }
}
