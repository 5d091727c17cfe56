// SPDX-License-Identifier: Apache-2.0
import Foundation

@testable import WeftNode
@testable import weft

/// A host with a guarded tunnel, its peer, and a router between them, which counts what passes without being sealed.
///
/// The world, 198.51.100.1 and 2001:db8:99::1, is at the peer; the router knows a way there past the tunnel. Each tunnel is started
/// again a second after it ended with an error, and what is left of its processes is killed, as by its systemd unit.
final class SoakTopology: Sendable {
    struct Kind: Sendable, CustomStringConvertible {
        let driver: String
        let isFull: Bool

        var description: String { "\(isFull ? "full" : "split"), \(driver)" }

        static let all = [
            Kind(driver: "tun", isFull: true), Kind(driver: "xdp", isFull: false), Kind(driver: "xdp", isFull: true),
            Kind(driver: "tun", isFull: false),
        ]
    }

    let kind: Kind
    let left: Host
    let router: Host
    let right: Host
    /// Whether the two hosts with tunnels have wall clocks of their own.
    let hasOwnClocks: Bool

    static let world = ["198.51.100.1", "2001:db8:99::1"]

    init(_ kind: Kind) async throws {
        self.kind = kind
        left = try await Host("left")
        router = try await Host("router")
        right = try await Host("right")
        let hasOne = try await left.makeOwnClock()
        hasOwnClocks = try await right.makeOwnClock() && hasOne
        try await outside("join_left; join_right")
        try await router.shell(Self.routerScript)
        // One that never was up has no queue discipline to come back to.
        try await left.shell("ip link set spare up; ip link set spare down")
        // Each echo's answer finds the socket that asked; the end of one address isn't that of the next.
        try await left.shell("sysctl -qw net.ipv4.ping_group_range='0 0' net.ipv4.conf.all.promote_secondaries=1")
        try await right.shell(
            "ip address add 198.51.100.1/32 dev lo; ip address add 2001:db8:99::1/128 dev lo nodad")
        try await writeFiles()
    }

    private static let routerScript = """
        sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        ip route add 198.51.100.0/24 via 203.0.113.2
        ip -6 route add 2001:db8:99::/64 via fd00:2::2
        nft -f - <<'END'
        table inet watch {
            chain arrivals {
                type filter hook prerouting priority -400
                iifname { left0, left1 } ip daddr 198.51.100.0/24 counter
                iifname { left0, left1 } ip6 daddr 2001:db8:99::/64 counter
                iifname right0 ip saddr 198.51.100.0/24 counter
                iifname right0 ip6 saddr 2001:db8:99::/64 counter
                ip saddr 10.77.0.0/24 counter
                ip daddr 10.77.0.0/24 counter
                ip6 saddr fd77::/64 counter
                ip6 daddr fd77::/64 counter
            }
        }
        table ip nat {
            chain out { type nat hook postrouting priority 100; }
        }
        END
        """

    /// What the links between the hosts are made of, for scripts outside of them.
    private var links: String {
        """
        left=\(left.processIdentifier) router=\(router.processIdentifier) right=\(right.processIdentifier)
        in_left() { nsenter --net=/proc/$left/ns/net "$@"; }
        in_right() { nsenter --net=/proc/$right/ns/net "$@"; }
        in_router() { nsenter --net=/proc/$router/ns/net sh -c "$1"; }
        join_left() {
            ip link add underlay address 02:00:00:00:01:01 netns $left type veth \
                peer name left0 address 02:00:00:00:02:01 netns $router
            ip link add spare netns $left type veth peer name left1 netns $router 2>/dev/null || true
            in_router '\(Self.connect)'
            in_left sh -c '\(Self.lease)
                lease 192.0.2.2'
        }
        join_right() {
            ip link add underlay address 02:00:00:00:03:01 netns $right type veth \
                peer name right0 address 02:00:00:00:04:01 netns $router
            in_router 'ip link set right0 up addrgenmode none; ip address add 203.0.113.1/24 dev right0
                ip address add fd00:2::1/64 dev right0 nodad; ip address add fe80::1/64 dev right0 nodad'
            in_right sh -c 'ip link set underlay up addrgenmode none; ip address add 203.0.113.2/24 dev underlay
                ip address add fd00:2::2/64 dev underlay nodad; ip address add fe80::2/64 dev underlay nodad
                ip route add default via 203.0.113.1
                ip -6 route add default via fd00:2::1'
        }

        """
    }

    /// The router's end towards the host. Who forwards IPv6 asks for neighbours from a link-local address.
    private static let connect = """
        ip link set left0 up addrgenmode none
        for a in 192.0.2.1/24 192.0.2.254/24; do ip address replace $a dev left0; done
        ip address replace fd00:1::1/64 dev left0 nodad
        ip address replace fe80::1/64 dev left0 nodad
        ip link set left1 up addrgenmode none
        ip address replace 192.0.3.1/24 dev left1
        """

    /// The host's own address, as a DHCP client would set it: the new one first, the old one's end last.
    private static let lease = """
        lease() {
            ip link set underlay up addrgenmode none
            ip address replace $1/24 dev underlay
            ip address replace fd00:1::2/64 dev underlay nodad
            ip address replace fe80::2/64 dev underlay nodad
            for a in $(ip -4 -o address show dev underlay | sed -n "s/.* inet \\([^ ]*\\).*/\\1/p"); do
                [ $a = $1/24 ] || ip address delete $a dev underlay
            done
            ip route replace default via 192.0.2.1
            ip -6 route replace default via fd00:1::1
        }
        """

    /// Runs a script outside of all hosts.
    func outside(_ script: String) async throws {
        try await run(script, Context(host: nil, prelude: "set -e\n" + links))
    }

    /// Gives the host its first addresses again.
    func reset() async throws {
        try await left.shell("\(Self.lease)\nip link set underlay address 02:00:00:00:01:01\nlease 192.0.2.2")
    }

    /// How many packets passed the router that should have been sealed.
    func inTheClear() async throws -> Int {
        try await router.shell("nft list table inet watch")
            .matches(of: /counter packets (\d+)/).compactMap { Int($0.output.1) }.reduce(0, +)
    }
}

extension SoakTopology {
    private func writeFiles() async throws {
        let (leftKey, rightKey) = (try await left.makeIdentity(), try await right.makeIdentity())
        var one = AgreeingText(1, peerKey: rightKey)
        one.endpoint = "203.0.113.2:6081"
        one.moreOfInterface = ["Driver = \(kind.driver)", "Underlay = underlay", "Guard = on"]
        one.moreOfPeer = ["PersistentKeepalive = 25"]
        var text = one.text
        text.replace(
            "AllowedIPs = 10.77.0.2/32, fd77::2/128",
            with: kind.isFull
                ? "AllowedIPs = 0.0.0.0/0, ::/0"
                : "AllowedIPs = 10.77.0.2/32, fd77::2/128, 198.51.100.0/24, 2001:db8:99::/64")
        try left.write(text)
        var two = AgreeingText(2, peerKey: leftKey, calls: false)
        two.moreOfInterface = ["LocalIPs = 0.0.0.0/0, ::/0", "Driver = tun", "Guard = on"]
        try right.write(two.text)
        // The second tunnel.
        for (host, number, key) in [(left, 1, rightKey), (right, 2, leftKey)] {
            try host.write(
                """
                [Interface]
                Address = 10.78.0.\(number)/24
                ListenPort = 6082
                PrivateKeyFile = host.key
                Driver = tun
                [Peer]
                PublicKey = \(key)
                \(number == 1 ? "Endpoint = 203.0.113.2:6082" : "")
                AllowedIPs = 10.78.0.\(3 - number)/32
                """, to: "weft1.conf")
        }
    }

    /// Starts both tunnels in loops, as systemd would, and waits until the world answers through them.
    func bringUp() async throws -> [ChildProcess] {
        try await right.up("weft1")
        let loops = try [right, left].map { host in
            try host.start([
                "sh", "-c",
                """
                until setsid --wait sh -c 'echo $$ >\(host.folder)/session; exec \(WeftCommand.path) up \(host.folder)/weft0.conf'; do
                    pkill -KILL -s $(cat \(host.folder)/session)
                    sleep 1
                done
                """,
            ])
        }
        // Until then the world answers past the tunnel.
        try await eventually("the tunnel", within: 60) { try await left.weft("show", "weft0").status == 0 }
        for address in Self.world { try await left.expectAnswer(from: address, within: 60) }
        return loops
    }

    func has(_ need: SoakEvent.Need?) -> Bool { need != .ownClock || hasOwnClocks }

    /// What comes before an event's scripts; it names the processes as they are before it.
    func context(of step: SoakPlan.Step) async throws -> Context {
        let number = "set -e\nn=\(step.chance.number)\n"
        switch step.event.place {
        case .outside: return Context(host: nil, prelude: links + number)
        case .router: return Context(host: router, prelude: "\(number)connect() {\n\(Self.connect)\n}\n")
        case .left, .right:
            let host = step.event.place == .left ? left : right
            let status = try await host.status()
            let prelude = """
                \(number)cd '\(host.folder)'
                weft=\(WeftCommand.path) table=$((0x7765 << 16 | 6081)) address=192.0.2.2
                data=\(status.processID) control=\(status.control?.processID ?? 0) spawner=\(status.control?.spawnerID ?? 0)
                # 0 stands for who is gone.
                signal() { s=$1; shift; for p; do [ $p = 0 ] || kill -$s $p; done; }
                \(Self.lease)
                \(Host.ownClockScript)

                """
            return Context(host: host, prelude: prelude)
        }
    }

    /// Where an event's scripts run, and what they know.
    struct Context {
        /// Nil for outside of all hosts.
        let host: Host?
        let prelude: String
    }

    func run(_ script: String, _ context: Context) async throws {
        let command = ["sh", "-c", context.prelude + script]
        let process = try context.host?.start(command) ?? ChildProcess(command)
        let output = try await process.wait(atMost: 60)
        guard output.status == 0 else {
            throw TestFailure("\(script)\nexit status \(output.status): \(output.standardError)")
        }
    }

    /// What all of it must be as it was, in the end.
    func state() async throws -> String {
        var text = ""
        for host in [left, right] { text += try await "\(host.name)\n\(host.networkState())" }
        // A link that is made anew has another number, and comes last.
        return text.replacing(#/@if\d+/#, with: "").split(separator: "\n")
            .map { $0.replacing(#/^[0-9]+: /#, with: "") }.sorted().joined(separator: "\n")
    }
}
