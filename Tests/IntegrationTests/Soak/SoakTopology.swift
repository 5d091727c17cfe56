// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestResolver

@testable import WeftNode
@testable import weft

/// A host with a guarded tunnel, its peer, and a router between them, which counts what passes without being sealed.
///
/// The world, 198.51.100.1 and 2001:db8:99::1, is at the peer; the router knows a way there past the tunnel. Each tunnel is started
/// again a second after it ended with an error, and what is left of its processes is killed, as by its systemd unit.
///
/// In some of them the router translates addresses, nobody beyond has a way to what is behind it, and the host knows its peer by a
/// name, which the router's resolvers know: 198.18.0.53 and 198.18.0.54.
final class SoakTopology: Sendable {
    struct Kind: Sendable, CustomStringConvertible {
        let driver: String
        let isFull: Bool
        let isTranslated: Bool

        var description: String { "\(isFull ? "full" : "split"), \(driver)\(isTranslated ? ", behind NAT" : "")" }

        static let all = [
            Kind(driver: "tun", isFull: true, isTranslated: true),
            Kind(driver: "xdp", isFull: false, isTranslated: false),
            Kind(driver: "xdp", isFull: true, isTranslated: true),
            Kind(driver: "tun", isFull: false, isTranslated: false),
        ]

        /// Whether an event can happen here at all.
        func has(_ need: SoakEvent.Need?) -> Bool {
            switch need {
            case nil, .ownClock: true
            case .pair: driver == "xdp"
            case .translation: isTranslated
            case .noTranslation: !isTranslated
            }
        }
    }

    let kind: Kind
    let left: Host
    let router: Host
    let right: Host
    /// Whether the two hosts with tunnels have wall clocks of their own.
    let hasOwnClocks: Bool
    private let resolvers: [DNSServer]

    static let world = ["198.51.100.1", "2001:db8:99::1"]

    init(_ kind: Kind) async throws {
        self.kind = kind
        left = try await Host("left")
        router = try await Host("router")
        right = try await Host("right")
        let hasOne = try await left.makeOwnClock()
        hasOwnClocks = try await right.makeOwnClock() && hasOne
        let zone = "\(router.folder)/zone"
        if kind.isTranslated {
            let router = router
            resolvers = [
                try await router.startResolver(file: zone, at: "198.18.0.53"),
                try await router.startResolver(file: zone, at: "198.18.0.54"),
            ]
            try await left.readNames(resolvers: "nameserver 198.18.0.53\n")
        } else {
            resolvers = []
        }
        try await outside("join_left; join_right")
        try await router.shell(Self.routerScript)
        if kind.isTranslated { try await router.shell(Self.translationScript) }
        try await reset()
        // One that never was up has no queue discipline to come back to.
        try await left.shell("ip link set spare up; ip link set spare down")
        // Each echo's answer finds the socket that asked; the end of one address isn't that of the next.
        try await left.shell("sysctl -qw net.ipv4.ping_group_range='0 0' net.ipv4.conf.all.promote_secondaries=1")
        try await right.shell(
            "sysctl -qw net.ipv4.conf.all.promote_secondaries=1; ip address add 198.51.100.1/32 dev lo; ip address add 2001:db8:99::1/128 dev lo nodad"
        )
        // What the kernel learned of a path's length it forgets soon, so that each change is felt.
        for host in [left, right] {
            try await host.shell("sysctl -qw net.ipv4.route.mtu_expires=5 net.ipv6.route.mtu_expires=5")
        }
        try await writeFiles()
    }

    /// Runs a script outside of all hosts.
    func outside(_ script: String) async throws {
        try await run(script, Context(host: nil, prelude: "set -e\n" + links))
    }

    deinit {
        for resolver in resolvers { resolver.close() }
    }

    /// Gives both hosts their first addresses again, and the way between them what it had at first.
    func reset() async throws {
        try await left.shell(
            """
            \(Self.lease)
            ip link set spare down
            ip address flush dev spare
            ip link set underlay address 02:00:00:00:01:01
            lease 192.0.2.2
            """)
        try await right.shell("\(Self.place)\nplace 203.0.113.2")
        try await outside("all_pass")
        guard kind.isTranslated else { return }
        try await outside("translate masquerade; name 203.0.113.2; deaf 198.18.0.99")
        try await left.shell("echo nameserver 198.18.0.53 >\(left.folder)/resolv.conf")
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
        one.endpoint = kind.isTranslated ? "server.example:6081" : "203.0.113.2:6081"
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

    func has(_ need: SoakEvent.Need?) -> Bool { kind.has(need) && (need != .ownClock || hasOwnClocks) }

    /// What comes before an event's scripts; it names the processes as they are before it.
    func context(of step: SoakPlan.Step) async throws -> Context {
        let number = "set -e\nn=\(step.chance.number)\n"
        switch step.event.place {
        case .outside: return Context(host: nil, prelude: links + number)
        case .router:
            return Context(
                host: router,
                prelude: "\(number)connect() {\n\(Self.connect)\n}\nin_router() { sh -c \"$1\"; }\n\(way)\n")
        case .left, .right:
            let host = step.event.place == .left ? left : right
            let status = try await host.status()
            let prelude = """
                \(number)cd '\(host.folder)'
                weft=\(WeftCommand.path) table=$((0x7765 << 16 | 6081)) address=192.0.2.2
                data=\(status.processID) control=\(status.control?.processID ?? 0) spawner=\(status.control?.spawnerID ?? 0)
                # 0 stands for who is gone.
                signal() { s=$1; shift; for p; do [ $p = 0 ] || kill -$s $p; done; }
                zone='\(router.folder)/zone'
                \(Self.lease)
                \(Self.place)
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
