// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Traffic")
    struct Traffic {
        @Test("Pings and TCP pass both ways; the books balance; down leaves nothing")
        func aTunnel() async throws {
            let hosts = try await HostPair()
            let before = try await hosts.left.networkState()
            try await hosts.bringUp()

            try await hosts.left.expectAnswer(from: "10.77.0.2")
            try await hosts.left.expectAnswer(from: "fd77::2")
            try await hosts.right.expectAnswer(from: "10.77.0.1")
            try await hosts.right.expectAnswer(from: "fd77::1")
            let sent = (0..<4_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
            #expect(try await hosts.left.echo(sent, by: hosts.right, at: "10.77.0.2") == sent)
            #expect(try await hosts.right.echo(sent, by: hosts.left, at: "fd77::1") == sent)

            for host in [hosts.left, hosts.right] {
                let status = try await host.status()
                expectBalance(status)
                #expect(status.interface.name == "weft0")
                #expect(status.interface.listenPort == 6081)
                #expect(status.interface.mtu == 1400)
                #expect(status.peers.map(\.vni) == [7])
                #expect(status.totals.rx.bytes > 8_000_000)
                #expect(status.totals.tx.bytes > 8_000_000)
                #expect(status.peers[0].latestReceive.map { $0 < 10 } == true)
                #expect(try await host.run(WeftCommand.path, "show").contains("peer: vni 7"))
            }

            try await hosts.left.down()
            try await hosts.right.down()
            #expect(try await hosts.left.networkState() == before)
            #expect(try await hosts.left.weft("show").standardOutput.isEmpty)
        }

        @Test("The books agree with the kernel's")
        func books() async throws {
            let hosts = try await HostPair()
            // What a socket sends or receives in one piece the kernel counts as one datagram.
            try await hosts.bringUp(with: ["Offloads = checksum, tso, uso"])
            // Some are from addresses that nobody may use: drops.
            try await hosts.left.run("ip", "address", "add", "10.99.0.1/32", "dev", "weft0")
            _ = try await hosts.left.attempt([
                "ping", "-q", "-c", "50", "-i", "0.002", "-W", "0.1", "-I", "10.99.0.1", "10.77.0.2",
            ])
            for address in ["10.77.0.2", "fd77::2"] {
                try await hosts.left.run("ping", "-q", "-c", "200", "-i", "0.002", address)
            }
            try await hosts.left.send((0..<100).map { [UInt8](repeating: 0, count: $0) }, to: "192.0.2.2")
            for (host, byHand) in [(hosts.left, UInt64(100)), (hosts.right, 0)] {
                var own: [UInt64] = []
                var kernel: [UInt64] = []
                try? await eventually("books on \(host.name) that agree with the kernel's", within: 3) {
                    let totals = try await host.status().totals
                    own = [totals.fromOverlay, totals.toOverlay, totals.fromUnderlay, totals.toUnderlay + byHand]
                    kernel = try await host.kernelCounts()
                    return own == kernel
                }
                #expect(own == kernel)
                expectBalance(try await host.status())
            }
            #expect(try await hosts.left.status().drops(.noRoute) >= 50)
        }

        @Test("Keep-alives are sent while nobody speaks")
        func keepAlives() async throws {
            let hosts = try await HostPair()
            var files = TunnelText.pair()
            files.left.keepalive = "1"
            try await hosts.bringUp(files)
            // Probes, which are counted with them, end soon after the tunnel is up.
            try await Task.sleep(for: .seconds(2))
            let before = try await hosts.right.status().totals.rx.keepAlives
            try await eventually("three keep-alives") {
                try await hosts.right.status().totals.rx.keepAlives >= before + 3
            }
            #expect(try await hosts.left.status().totals.tx.keepAlives >= before + 3)
        }

        @Test("A host carries two tunnels on ports of their own")
        func twoTunnels() async throws {
            let hosts = try await HostPair()
            let first = TunnelText.pair()
            var second = TunnelText.pair(network: 78)
            second.left.listenPort = 6082
            second.left.endpoint = "[fd00::2]:6082"
            second.right.listenPort = 6082
            second.right.endpoint = "[fd00::1]:6082"
            for (host, files) in [
                (hosts.left, [first.left, second.left]), (hosts.right, [first.right, second.right]),
            ] {
                for (index, file) in files.enumerated() {
                    try host.write(file, to: "weft\(index).conf")
                    try await host.up("weft\(index)")
                }
            }
            for address in ["10.77.0.2", "fd77::2", "10.78.0.2", "fd78::2"] {
                try await hosts.left.expectAnswer(from: address)
            }
            let all = try await hosts.left.run(WeftCommand.path, "show")
            #expect(all.contains("interface: weft0") && all.contains("interface: weft1"))
            try await hosts.left.down("weft0")
            try await hosts.left.expectAnswer(from: "10.78.0.2")
            expectBalance(try await hosts.left.status("weft1"))
        }

        @Test("INT and TERM end the foreground command cleanly", arguments: ["INT", "TERM"])
        func signals(_ signal: String) async throws {
            let host = try await Host("alone")
            let before = try await host.networkState()
            let file = try host.write(TunnelText.pair().left)
            let command = try host.start([WeftCommand.path, "up", file])
            try await eventually("the tunnel") {
                if command.hasEnded { throw TestFailure("\(command.output)") }
                return try await host.weft("show", "weft0").status == 0
            }
            try await host.shell("kill -\(signal) \(host.status().processID)")
            let output = try await command.wait()
            #expect(output.status == 0, "\(output)")
            #expect(try await host.networkState() == before)
            #expect(try await host.weft("show", "weft0").status == 3)
        }
    }
}

/// What came in is what went out plus what was dropped, each way, and the peers' books add up to the tunnel's.
///
/// The books aren't read at one instant, and probes go whenever they want: two of them may be in one and not yet in the other.
func expectBalance(_ status: TunnelStatus, sourceLocation: SourceLocation = #_sourceLocation) {
    let totals = status.totals
    func drops(_ fromOverlay: Bool, byTransport: Bool) -> UInt64 {
        status.drops(fromOverlay: fromOverlay, byTransport: byTransport)
    }
    func expectSame(_ one: UInt64, _ other: UInt64, within slack: UInt64 = 2) {
        #expect(max(one, other) - min(one, other) <= slack, "\(one) and \(other)", sourceLocation: sourceLocation)
    }
    let sealed = totals.tx.packets - totals.tx.keepAlives
    expectSame(totals.fromOverlay, sealed + totals.localReplies + drops(true, byTransport: false))
    expectSame(totals.toUnderlay, totals.tx.packets - drops(true, byTransport: true))
    let handedOver = totals.streams.values.reduce(0, +)
    expectSame(totals.fromUnderlay, totals.rx.packets + handedOver + drops(false, byTransport: false))
    let opened = totals.rx.packets - totals.rx.keepAlives
    expectSame(totals.toOverlay, opened - drops(false, byTransport: true))
    #expect(Set(totals.drops.keys).isSubset(of: DropReason.allCases.map { "\($0)" }), sourceLocation: sourceLocation)
    expectSame(totals.rx.bytes, status.peers.reduce(0) { $0 + $1.rx.bytes }, within: 2 * 1_500)
    expectSame(totals.tx.packets, status.peers.reduce(0) { $0 + $1.tx.packets })
}

extension Host {
    private struct Link: Decodable {
        struct Statistics: Decodable {
            struct Direction: Decodable { let packets: UInt64 }
            let rx: Direction
            let tx: Direction
        }
        let stats64: Statistics
    }

    /// What the kernel counted: packets that the device took from and gave to the tunnel, datagrams in and out.
    func kernelCounts() async throws -> [UInt64] {
        let links = try JSONDecoder().decode(
            [Link].self, from: Data(await run("ip", "-json", "-statistics", "link", "show", "weft0").utf8))
        let udp = try await shell("grep ^Udp: /proc/net/snmp").split(separator: "\n").last?.split(separator: " ") ?? []
        guard links.count == 1, udp.count > 4, let received = UInt64(udp[1]), let sent = UInt64(udp[4]) else {
            throw TestFailure("the kernel's counters can't be read")
        }
        return [links[0].stats64.tx.packets, links[0].stats64.rx.packets, received, sent]
    }
}
