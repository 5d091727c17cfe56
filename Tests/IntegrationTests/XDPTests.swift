// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftXDP

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("AF_XDP")
    struct XDP {
        private static let payload = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 11) }

        @Test(
            "It carries everything, also with TUN on the other side; the books balance; down leaves nothing",
            arguments: [("xdp", "xdp"), ("tun", "xdp"), ("xdp", "tun")])
        func traffic(left: String, right: String) async throws {
            let hosts = try await HostPair()
            let before = try await hosts.left.networkState()
            try await hosts.bringUp(left: left, right: right)
            try await hosts.right.expectAnswer(from: "10.77.0.1")
            try await hosts.right.expectAnswer(from: "fd77::1")
            #expect(try await hosts.left.echo(Self.payload, by: hosts.right, at: "10.77.0.2") == Self.payload)
            #expect(try await hosts.right.echo(Self.payload, by: hosts.left, at: "fd77::1") == Self.payload)
            for (host, driver) in [(hosts.left, left), (hosts.right, right)] {
                let status = try await host.status()
                expectBalance(status)
                #expect(status.driver.hasPrefix("\(driver) ("))
                #expect(status.totals.rx.bytes > 4_000_000)
                if driver == "xdp" {
                    #expect(status.driver.hasPrefix("xdp (underlay driver copy, overlay driver copy)"))
                    expectFramesAccounted(status)
                }
            }
            try await hosts.left.down()
            try await hosts.right.down()
            #expect(try await hosts.left.networkState() == before)
        }

        @Test("auto takes AF_XDP only where the device fills frames by itself, and says why")
        func automatic() async throws {
            for (probe, driver, words) in [
                (XDPProbe.Result.zeroCopy("eth0"), DriverChoice.Driver.xdp, "xdp, since eth0"),
                (.copyOnly("eth0"), .tun, "tun, since AF_XDP would copy each packet of eth0"),
                (.unavailable("eth0 is on fire"), .tun, "tun, since eth0 is on fire"),
            ] {
                let choice = DriverChoice.choose(probe)
                #expect(choice.0 == driver)
                #expect(choice.1.contains(words))
            }
            let hosts = try await HostPair()
            try hosts.left.write(TunnelText.pair().left)
            let tunnel = try hosts.left.start([WeftCommand.path, "up", "\(hosts.left.folder)/weft0.conf"])
            try await eventually("the tunnel") { tunnel.output.standardError.contains("up on UDP port") }
            #expect(tunnel.output.standardError.contains("tun, since AF_XDP would copy each packet of underlay"))
            #expect(try await hosts.left.status().driver.hasPrefix("tun ("))
            try await hosts.left.down()
        }

        @Test(
            "Modes and options do as they are told",
            arguments: [
                ("BindMode = generic", "underlay generic copy"), ("BindMode = driver, copy", "underlay driver copy"),
                ("NeedWakeup = off", ", no need-wakeup"), ("BusyPoll = 50", ", busy polling"),
            ])
        func options(line: String, words: String) async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp(left: "xdp", right: "xdp", more: [line, "PinThreads = on"])
            #expect(try await hosts.left.echo(Self.payload, by: hosts.right, at: "10.77.0.2") == Self.payload)
            let status = try await hosts.left.status()
            #expect(status.driver.contains(words), "\(status.driver)")
            expectFramesAccounted(status)
        }

        @Test("An IPv6 underlay, through a router whose link-layer address changes")
        func sixAndNeighbors() async throws {
            let hosts = try await HostPair()
            var files = TunnelText.pair()
            files.left.endpoint = "[fd00::2]:6081"
            files.right.endpoint = "[fd00::1]:6081"
            for (host, var file) in [(hosts.left, files.left), (hosts.right, files.right)] {
                file.moreOfInterface = ["Driver = xdp", "Underlay = underlay"]
                try host.write(file)
                try await host.up()
            }
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            try await hosts.left.expectAnswer(from: "fd77::2")
            #expect(try await hosts.left.echo(Self.payload, by: hosts.right, at: "fd77::2") == Self.payload)
            // The neighbour gets another address, and says so to nobody.
            try await hosts.right.shell("ip link set underlay address 02:00:00:00:00:99")
            try await hosts.left.shell("ip neighbour flush dev underlay")
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 8)
        }

        @Test("Several queues: a thread and two sockets for each")
        func queues() async throws {
            let hosts = try await HostPair()
            try await hosts.left.shell("ethtool -L underlay rx 2 tx 2")
            try await hosts.right.shell("ethtool -L underlay rx 2 tx 2")
            try await hosts.bringUp(left: "xdp", right: "xdp", more: ["SourcePorts = 16", "PinThreads = on"])
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for flow in 0..<6 {
                    group.addTask {
                        try await hosts.left.echo(
                            Self.payload, by: hosts.right, at: "10.77.0.2", port: 7100 + flow) == Self.payload
                    }
                }
                for try await isWhole in group { #expect(isWhole) }
            }
            let status = try await hosts.right.status()
            #expect(status.driver.hasSuffix(", 2 queues"), "\(status.driver)")
            #expect(status.driverCounters["umemFrames"] == 2 * 4096)
            #expect(status.driverCounters["underlayNoSocket"] == 0)
            expectFramesAccounted(status)
            expectBalance(status)
        }

        @Test("What no longer fits the underlay is answered with what does")
        func tooBig() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp(left: "xdp", right: "xdp")
            try await hosts.left.shell("ip link set underlay mtu 1300")
            try await eventually("an answer with the MTU", within: 5) {
                let output = try await hosts.left.attempt(
                    ["ping", "-M", "do", "-c", "1", "-W", "0.2", "-s", "1372", "10.77.0.2"])
                return (output.standardOutput + output.standardError).contains("mtu = 1224")
            }
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            #expect(try await hosts.left.status().drops(.noRoom) > 0)
            expectBalance(try await hosts.left.status())
        }

        @Test("zero-copy where the device can't is an error that says what to do")
        func refusals() async throws {
            let hosts = try await HostPair()
            var file = TunnelText.pair().left
            let before = try await hosts.left.networkState()
            for (lines, words) in [
                (["BindMode = zero-copy"], "the device can't do it; use Driver = tun"),
                (["Underlay = nowhere"], "there is no interface nowhere"),
                (["Underlay = lo"], "lo is no Ethernet interface"),
            ] {
                file.moreOfInterface = ["Driver = xdp"] + lines
                try hosts.left.write(file)
                let output = try await hosts.left.weft("up", "\(hosts.left.folder)/weft0.conf")
                #expect(output.status == 1)
                #expect(output.standardError.contains(words), "\(output)")
                #expect(try await hosts.left.networkState() == before)
            }
        }

        @Test("A program of somebody else's stays, and the error says so")
        func otherProgram() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp(left: "xdp", right: "xdp")
            func program() async throws -> String {
                try await hosts.left.shell("ip link show underlay | grep -o 'prog/xdp id [0-9]*'")
            }
            let before = try await program()
            var other = TunnelText.pair(network: 78).left
            other.listenPort = 6082
            other.moreOfInterface = ["Driver = xdp"]
            try hosts.left.write(other, to: "weft1.conf")
            let output = try await hosts.left.weft("up", "\(hosts.left.folder)/weft1.conf")
            #expect(output.status == 1)
            #expect(output.standardError.contains("underlay has an XDP program"), "\(output)")
            #expect(try await program() == before)
            try await hosts.left.expectAnswer(from: "10.77.0.2")
        }

        @Test("After kill -9 nothing is attached, and the same file works again, with either driver")
        func crash() async throws {
            let hosts = try await HostPair()
            let before = try await hosts.left.networkState()
            let files = try await hosts.bringUp(left: "xdp", right: "xdp")
            for driver in ["xdp", "tun", "xdp"] {
                try await hosts.left.crash()
                #expect(try await !hosts.left.shell("ip link show underlay").contains("xdp"))
                var file = files.left
                file.moreOfInterface = ["Driver = \(driver)"]
                try hosts.left.write(file)
                try await hosts.left.up()
                try await hosts.left.expectAnswer(from: "10.77.0.2")
                #expect(try await hosts.left.status().driver.hasPrefix(driver))
            }
            try await hosts.left.down()
            #expect(try await hosts.left.networkState() == before)
        }

        @Test("An interface that goes away and returns")
        func interfaceReturns() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp(left: "xdp", right: "tun")
            for _ in 0..<2 {
                try await hosts.left.shell("ip link delete underlay")
                try await eventually("a driver that knows") {
                    try await hosts.left.status().driver.contains("underlay gone")
                }
                // Frames that can't go are drops, not losses.
                _ = try await hosts.left.attempt(["ping", "-q", "-c", "5", "-i", "0.01", "-W", "0.1", "10.77.0.2"])
                try await hosts.join()
                try await hosts.left.expectAnswer(from: "10.77.0.2", within: 10)
                try await hosts.right.expectAnswer(from: "fd77::1")
            }
            let status = try await hosts.left.status()
            #expect(status.drops(.underlayRefused) > 0)
            expectFramesAccounted(status)
        }

        @Test("A stalled underlay costs drops, and works on afterwards")
        func stalled() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp(left: "xdp", right: "xdp")
            try await hosts.left.shell(
                "ip link set underlay down; ping -q -i 0.0005 -c 3000 -w 5 10.77.0.2 >/dev/null 2>&1; true")
            let status = try await hosts.left.status()
            #expect(status.drops(.underlayRefused) > 100, "\(status.totals.drops)")
            expectFramesAccounted(status)
            try await hosts.left.shell(
                "ip link set underlay up; ip address replace fd00::1/64 dev underlay nodad")
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 10)
            // The overlay's turn.
            try await hosts.left.shell("ip link set weft0-x down")
            _ = try await hosts.right.attempt(["ping", "-q", "-i", "0.0005", "-c", "3000", "-w", "5", "10.77.0.1"])
            try await hosts.left.shell("ip link set weft0-x up")
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 10)
            expectFramesAccounted(try await hosts.left.status())
        }
    }
}

/// No frame of the UMEM is missing.
func expectFramesAccounted(_ status: TunnelStatus) {
    #expect((status.driverCounters["umemFrames"] ?? 0) >= 4096)
    #expect(status.driverCounters["umemFramesAccounted"] == status.driverCounters["umemFrames"])
}

extension HostPair {
    /// Brings both ends up with these drivers, and waits for the first answers.
    @discardableResult
    func bringUp(
        left: String, right: String, more: [String] = []
    ) async throws -> (left: TunnelText, right: TunnelText) {
        var files = TunnelText.pair()
        files.left.moreOfInterface = ["Driver = \(left)"] + more
        files.right.moreOfInterface = ["Driver = \(right)"] + more
        try self.left.write(files.left)
        try self.right.write(files.right)
        try await self.left.up()
        try await self.right.up()
        try await self.left.expectAnswer(from: "10.77.0.2")
        try await self.left.expectAnswer(from: "fd77::2")
        return files
    }
}
