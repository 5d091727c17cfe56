// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A host, and the world as it sees it: 198.51.100.1 and 2001:db8:99::1, which are the tunnel's other end as well and which
/// main's default routes lead to, too, past the tunnel.
struct World: Sendable {
    let hosts: HostPair
    var left: Host { hosts.left }
    var right: Host { hosts.right }

    static let addresses = ["198.51.100.1", "2001:db8:99::1"]

    /// - Parameters:
    ///   - allowedIPs: what the host's tunnel carries.
    ///   - interface: more lines for the host's `[Interface]`.
    init(
        allowedIPs: String = "0.0.0.0/0, ::/0", driver: String = "tun", interface: [String] = []
    ) async throws {
        hosts = try await HostPair()
        try await hosts.left.shell(
            """
            ip route add default via 192.0.2.2
            ip -6 route add default via fd00::2
            """)
        try await hosts.right.shell(
            """
            ip address add 198.51.100.1/32 dev lo
            ip address add 2001:db8:99::1/128 dev lo nodad
            nft -f - <<'END'
            table inet watch {
                chain arrivals {
                    type filter hook prerouting priority -400
                    iifname underlay ip daddr 198.51.100.1 counter
                    iifname underlay ip6 daddr 2001:db8:99::1 counter
                }
            }
            END
            """)
        let (leftKey, rightKey) = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
        var one = AgreeingText(1, peerKey: rightKey)
        one.moreOfInterface = ["Driver = \(driver)", "Underlay = underlay"] + interface
        var text = one.text
        text.replace("AllowedIPs = 10.77.0.2/32, fd77::2/128", with: "AllowedIPs = \(allowedIPs)")
        try hosts.left.write(text)
        var two = AgreeingText(2, peerKey: leftKey, calls: false)
        two.moreOfInterface = ["LocalIPs = 0.0.0.0/0, ::/0", "Driver = tun"]
        try hosts.right.write(two.text)
    }

    /// Brings both ends up, and waits until the world answers through the tunnel.
    func bringUp() async throws {
        try await right.up()
        try await left.up()
        for address in Self.addresses { try await left.expectAnswer(from: address, within: 20) }
    }

    /// How many packets to the world went past the tunnel so far.
    func inTheClear() async throws -> Int {
        try await right.shell("nft list table inet watch")
            .matches(of: /counter packets (\d+)/).compactMap { Int($0.output.1) }.reduce(0, +)
    }

    /// Sends to the world all the while that `body` runs; gives how many of the packets went past the tunnel.
    func sending(_ body: () async throws -> Void) async throws -> Int {
        let before = try await inTheClear()
        // A socket of its own for each packet: no route is remembered.
        let script =
            "while :; do for a in \(Self.addresses.joined(separator: " ")); do ping -n -c 1 -W 0.05 $a; done; done"
        let sender = try left.start(["sh", "-c", script])
        try await body()
        sender.kill(SIGKILL)
        return try await inTheClear() - before
    }
}
