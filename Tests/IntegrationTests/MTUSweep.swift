// SPDX-License-Identifier: Apache-2.0
import Foundation

@testable import WeftNode
@testable import weft

/// A tunnel with `MTU = auto` over a path that swallows longer packets: how soon it knows what passes, and whether all passes then.
struct MTUSweep: Sendable, CustomStringConvertible {
    /// What comes of packets that are too long.
    enum Word: String, CaseIterable, Sendable {
        /// No ICMP at all.
        case blocked
        /// ICMP of somebody else's, ten times a second to both ends, which says that 552 bytes fit, or 1,280 over IPv6.
        case forged
    }

    let driver: String
    let isIPv6: Bool
    /// Bytes of the longest outer packet that passes.
    let length: Int
    let word: Word

    var description: String { "\(driver) over \(isIPv6 ? "IPv6" : "IPv4") of \(length) bytes, ICMP \(word)" }

    /// Each length in steps of 20, and a large one, by both families and drivers.
    static let all: [MTUSweep] = ["tun", "xdp"].flatMap { driver in
        [false, true].flatMap { isIPv6 in
            (Array(stride(from: isIPv6 ? 1280 : 1200, through: 1500, by: 20)) + [9000]).flatMap { length in
                Word.allCases.map { MTUSweep(driver: driver, isIPv6: isIPv6, length: length, word: $0) }
            }
        }
    }

    /// The least and one more, for every run.
    static let few: [MTUSweep] = ["tun", "xdp"].flatMap { driver in
        [
            MTUSweep(driver: driver, isIPv6: false, length: 1200, word: .forged),
            MTUSweep(driver: driver, isIPv6: true, length: 1420, word: .forged),
        ]
    }

    /// Lengths of paths that lie closer together aren't told apart.
    private static let grain = 16
    /// What a frame of AF_XDP holds.
    private static let longestOfXDP = 3682

    /// Bytes of the longest inner packet that passes whole.
    private var longest: Int {
        let inner = length - (isIPv6 ? 40 : 20) - 8 - 32 - 16
        return driver == "xdp" ? min(inner, Self.longestOfXDP) : inner
    }

    struct Outcome: Sendable {
        /// From the first answer until both ends know what passes, in seconds.
        let toFullSize: Double
        /// Bytes that both ends take for the longest.
        let found: (Int, Int)
        /// Seconds for all bytes there and back again, by inner IPv4 and IPv6.
        let transfers: [Double]
    }

    /// - Parameter bytes: how many TCP carries, there and back again.
    func run(bytes: Int) async throws -> Outcome {
        let (left, right, bridge) = (try await Host("left"), try await Host("right"), try await Host("bridge"))
        try await join(left, right, by: bridge)
        let (leftKey, rightKey) = (try await left.makeIdentity(), try await right.makeIdentity())
        for (host, var file) in [
            (left, AgreeingText(1, peerKey: rightKey)), (right, AgreeingText(2, peerKey: leftKey, calls: false)),
        ] {
            if file.endpoint != nil, isIPv6 { file.endpoint = "[fd00::2]:6081" }
            var text = file.text
            text.replace("MTU = 1400", with: "Driver = \(driver)\nUnderlay = underlay")
            try host.write(text)
        }
        var forgers: [ForgedICMP] = []
        if word == .forged {
            let ends = isIPv6 ? ("fd00::1", "fd00::2") : ("192.0.2.1", "192.0.2.2")
            forgers = [
                try await ForgedICMP(from: right, to: ends.0, quoting: ends.1, mtu: isIPv6 ? 1280 : 552),
                try await ForgedICMP(from: left, to: ends.1, quoting: ends.0, mtu: isIPv6 ? 1280 : 552),
            ]
        }
        defer { for forger in forgers { forger.end() } }
        try await right.up()
        try await left.up()
        try await left.expectAnswer(from: "10.77.0.2", within: 20)

        let start = ContinuousClock.now
        let pings = try left.start(["ping", "-n", "-q", "-i", "0.1", "10.77.0.2"])
        defer { pings.kill(SIGKILL) }
        var found = (0, 0)
        do {
            try await eventually("what passes", within: 60) {
                found.0 = try await left.status().peers[0].path?.mtu ?? 0
                found.1 = try await right.status().peers[0].path?.mtu ?? 0
                // More than passes is what nobody has tried yet.
                return min(found.0, found.1) > longest - Self.grain && max(found.0, found.1) <= longest
            }
        } catch { throw TestFailure("\(longest) bytes pass, not \(found): \(error)") }
        let toFullSize = (ContinuousClock.now - start) / .seconds(1)

        let payload = (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        var transfers: [Double] = []
        for address in ["10.77.0.2", "fd77::2"] {
            let start = ContinuousClock.now
            guard try await left.echo(payload, by: right, at: address) == payload else {
                throw TestFailure("other bytes came back from \(address)")
            }
            transfers.append((ContinuousClock.now - start) / .seconds(1))
        }
        return Outcome(toFullSize: toFullSize, found: found, transfers: transfers)
    }

    /// Two hosts as those of a ``HostPair``, and between them a bridge that swallows what is too long. AF_XDP takes packets before an
    /// end's own filter would.
    private func join(_ left: Host, _ right: Host, by bridge: Host) async throws {
        let mtu = max(length, 1500)
        try await bridge.shell(
            "ip link add br0 mtu \(mtu) type bridge; ip link set br0 up addrgenmode none; nft add table netdev path")
        for (host, number) in [(left, 1), (right, 2)] {
            let link = try await ChildProcess([
                "ip", "link", "add", "name", "underlay", "mtu", "\(mtu)", "netns", "\(host.processIdentifier)", "type",
                "veth", "peer", "name", "port\(number)", "mtu", "\(mtu)", "netns", "\(bridge.processIdentifier)",
            ]).wait()
            guard link.status == 0 else { throw TestFailure("\(link)") }
            try await bridge.shell(
                """
                ip link set port\(number) master br0 up
                nft 'add chain netdev path port\(number) { type filter hook ingress device port\(number) priority -500; }'
                nft add rule netdev path port\(number) ip protocol udp ip length gt \(length) 'ip frag-off & 0x4000 != 0' drop
                nft add rule netdev path port\(number) meta protocol ip6 ip6 length gt \(length - 40) drop
                """)
            try await host.shell(
                """
                ip link set underlay up addrgenmode none
                ip address add 192.0.2.\(number)/30 dev underlay
                ip address add fd00::\(number)/64 dev underlay nodad
                ethtool -K underlay tx-udp-segmentation off
                """)
        }
    }
}
