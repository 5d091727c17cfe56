// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftControl

/// Two hosts that have one key, as after a machine was copied, and the one that both call.
@Suite("Two hosts with one key")
struct TwinsTests {
    /// Hosts 0 and 2 have one key, and call host 1.
    private func tunnels() throws -> Tunnels {
        let tunnels = try Tunnels(dials: (true, false))
        tunnels.delay = .milliseconds(5)
        let twin = try tunnels.hosts[0].restarted()
        twin.address = Tunnels.address(3)
        try tunnels.set(twin, towards: tunnels.hosts[1], dials: true)
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.hosts.append(twin)
        return tunnels
    }

    private func status(_ tunnels: Tunnels, _ host: Int = 1) -> ControlPeerStatus {
        tunnels.hosts[host].control.statuses()[0]
    }

    @Test("are noticed, named with both places, and take each other's session no more")
    func noticed() throws {
        let tunnels = try tunnels()
        let both = [Tunnels.address(1), Tunnels.address(3)]
        #expect(tunnels.time { status(tunnels).hostsWithKey == both } != nil)
        let agreements = status(tunnels).agreements
        tunnels.run(for: .seconds(60))
        // What is there is renewed at most once in that time.
        #expect(status(tunnels).agreements <= agreements + 2)
        #expect(status(tunnels).state == .connected && status(tunnels).hostsWithKey == both)
        let lines = tunnels.hosts[1].log.lines.filter { $0.contains("one at 192.0.2.1:6081 and one at 192.0.2.3:6081") }
        #expect((1...2).contains(lines.count), "\(tunnels.hosts[1].log.lines)")
        // One of them keeps its session, and the other one knows why it has none.
        let others = [0, 2].filter { status(tunnels, $0).state != .connected }
        #expect(others.count == 1)
        let why = others.first.flatMap { status(tunnels, $0).lastFailure } ?? ""
        #expect(why.contains("another host that has our key"), "\(why)")
    }

    @Test("come in turn when the one that was there is gone, and are forgotten after a minute", arguments: [0, 2])
    func gone(_ survivor: Int) throws {
        let tunnels = try tunnels()
        #expect(tunnels.time { !status(tunnels).hostsWithKey.isEmpty } != nil)
        tunnels.run(for: .seconds(5))
        tunnels.hosts[2 - survivor].isConnected = false
        #expect(tunnels.time { status(tunnels, survivor).state == .connected } != nil)
        tunnels.run(for: .seconds(70))
        #expect(status(tunnels).hostsWithKey.isEmpty && status(tunnels).state == .connected)
        #expect(status(tunnels, survivor).state == .connected)
    }

    @Test("aren't seen in one that moves, or is restarted elsewhere, a few times")
    func moves() throws {
        let tunnels = try Tunnels(dials: (true, false))
        #expect(tunnels.time { tunnels.isUp } != nil)
        for number in [3, 1, 3] as [UInt8] {
            let next = try tunnels.hosts[0].restarted()
            next.address = Tunnels.address(number)
            tunnels.hosts[0] = next
            try tunnels.set(next, towards: tunnels.hosts[1], dials: true)
            #expect(tunnels.time { tunnels.isUp } != nil)
        }
        #expect(status(tunnels).hostsWithKey.isEmpty)
    }
}
