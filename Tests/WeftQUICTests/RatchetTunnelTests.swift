// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftQUIC
import WeftTestSupport

@Suite("Preshared keys")
struct PresharedKeyTests {
    static func key(_ byte: UInt8) -> PresharedKey? {
        PresharedKey(SecretBytes(copying: [UInt8](repeating: byte, count: 32).span))
    }

    private func tunnels(_ one: PresharedKey?, _ other: PresharedKey?) throws -> Tunnels {
        let tunnels = try Tunnels()
        try tunnels.set(tunnels.hosts[0], towards: tunnels.hosts[1], dials: true, presharedKey: one)
        try tunnels.set(tunnels.hosts[1], towards: tunnels.hosts[0], dials: true, presharedKey: other)
        return tunnels
    }

    @Test("equal ones lead to keys")
    func equal() throws {
        let tunnels = try tunnels(Self.key(1), Self.key(1))
        #expect(try #require(tunnels.time { tunnels.isUp }) <= .milliseconds(300))
    }

    @Test("unequal ones, or one alone, end in one clear line at both ends, and in no key", arguments: 0..<3)
    func unequal(_ kind: Int) throws {
        let pairs = [(Self.key(1), Self.key(2)), (nil, Self.key(1)), (Self.key(1), nil)]
        let tunnels = try tunnels(pairs[kind].0, pairs[kind].1)
        tunnels.run(for: .seconds(30))
        for host in tunnels.hosts {
            let lines = host.log.lines.filter { $0.contains("the preshared keys differ") }
            #expect(lines.count == 1 && host.log.lines.count == 1, "\(host.log.lines)")
            #expect(host.control.statuses()[0].lastFailure?.contains("PresharedKey") == true)
            #expect(host.control.statuses()[0].agreements == 0)
            #expect(host.network?.transmit == nil)
        }
        // Once they are the same all is well.
        try tunnels.set(tunnels.hosts[0], towards: tunnels.hosts[1], dials: true, presharedKey: Self.key(3))
        try tunnels.set(tunnels.hosts[1], towards: tunnels.hosts[0], dials: true, presharedKey: Self.key(3))
        #expect(try #require(tunnels.time { tunnels.isUp }) <= .seconds(7))
        tunnels.run(for: .seconds(1))
        for host in tunnels.hosts { #expect(host.control.statuses()[0].lastFailure == nil) }
    }

    @Test("a changed one makes a new session, and the old keys go on until then")
    func changed() throws {
        let tunnels = try tunnels(Self.key(1), Self.key(1))
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.run(for: .seconds(5))
        let before = tunnels.hosts.map { $0.control.statuses()[0].agreements }
        try tunnels.set(tunnels.hosts[0], towards: tunnels.hosts[1], dials: true, presharedKey: Self.key(2))
        tunnels.run(for: .seconds(5))
        #expect(tunnels.isUp, "the old keys live")
        #expect(tunnels.hosts.map { $0.control.statuses()[0].agreements } == before)
        try tunnels.set(tunnels.hosts[1], towards: tunnels.hosts[0], dials: true, presharedKey: Self.key(2))
        tunnels.run(for: .seconds(8))
        #expect(tunnels.isUp)
        #expect(tunnels.hosts.map { $0.control.statuses()[0].agreements } == before.map { $0 + 1 })
        // The same again changes nothing.
        try tunnels.set(tunnels.hosts[0], towards: tunnels.hosts[1], dials: true, presharedKey: Self.key(2))
        tunnels.run(for: .seconds(8))
        #expect(tunnels.hosts.map { $0.control.statuses()[0].agreements } == before.map { $0 + 1 })
    }
}

@Suite("Lives of keys")
struct KeyLifeTests {
    /// What the engine has of the newest keys: how long they seal and open from now on.
    private func lives(_ tunnels: Tunnels, _ host: Tunnels.Host) throws -> (seals: Duration, opens: Duration) {
        let network = try #require(host.network)
        let transmit = try #require(network.transmit)
        let receive = try #require(network.receive.first)
        func left(_ expiry: Instant) -> Duration {
            .nanoseconds(Int64(expiry.nanoseconds) - Int64(tunnels.now.nanoseconds))
        }
        return (left(transmit.expiry), left(receive.expiry))
    }

    @Test(
        "a key seals for 3 minutes or 1.5 renewals, and opens 30 s more",
        arguments: [(1, 180), (120, 180), (200, 300), (600, 900)])
    func lives(rekey: Int, seals: Int) throws {
        let tunnels = try Tunnels()
        for (index, host) in tunnels.hosts.enumerated() {
            try tunnels.set(
                host, towards: tunnels.hosts[1 - index], dials: true, rekeyInterval: .seconds(rekey))
        }
        #expect(tunnels.time { tunnels.isUp } != nil)
        for host in tunnels.hosts {
            let lives = try lives(tunnels, host)
            #expect((.seconds(seals) - .milliseconds(200)) ... .seconds(seals) ~= lives.seals)
            #expect((.seconds(seals + 30) - .milliseconds(200)) ... .seconds(seals + 30) ~= lives.opens)
        }
    }

    /// Asleep, a host's clock goes on, and nothing else does.
    @Test(
        "after a sleep of any length keys are agreed within 3 s", arguments: [3, 20, 45, 170, 400, 1200],
        [(true, true), (true, false), (false, true)])
    func sleep(seconds: Int, dials: (Bool, Bool)) throws {
        for sleeper in 0...1 {
            let tunnels = try Tunnels(dials: (dials.0, dials.1))
            #expect(tunnels.time { tunnels.isUp } != nil)
            tunnels.run(for: .seconds(10))
            tunnels.hosts[sleeper].isConnected = false
            // The other one sends, and notices.
            tunnels.run(for: .milliseconds(seconds * 1000 + 137), step: .milliseconds(50))
            let before = tunnels.hosts.map { $0.control.statuses()[0].agreements }
            let session = tunnels.hosts.map { $0.control.statuses()[0].state }
            tunnels.hosts[sleeper].isConnected = true
            guard seconds > 30 || session.contains(where: { $0 != .connected }) else { continue }
            let time = try #require(
                tunnels.time {
                    zip(tunnels.hosts, before).allSatisfy { $0.control.statuses()[0].agreements > $1 } && tunnels.isUp
                }, "sleeper \(sleeper)")
            #expect(time <= .seconds(3), "sleeper \(sleeper)")
        }
    }

    @Test("both asleep, and awake at once")
    func bothSleep() throws {
        let tunnels = try Tunnels()
        #expect(tunnels.time { tunnels.isUp } != nil)
        for host in tunnels.hosts { host.isConnected = false }
        tunnels.run(for: .seconds(500), step: .seconds(10))
        for host in tunnels.hosts { host.isConnected = true }
        let time = try #require(
            tunnels.time { tunnels.hosts.allSatisfy { $0.control.statuses()[0].agreements > 1 } && tunnels.isUp })
        #expect(time <= .seconds(3))
    }
}
