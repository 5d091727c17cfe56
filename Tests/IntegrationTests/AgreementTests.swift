// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftControl

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Keys that nobody handles")
    struct Agreement {
        @Test(
            "Whoever can call does, with either suite",
            arguments: [(true, true), (true, false), (false, true)], ["AES-128-GCM", "AES-256-GCM"])
        func calls(calls: (Bool, Bool), suite: String) async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing(calls: (calls.0, calls.1), peer: ["Suite = \(suite)"])
            try await hosts.right.expectAnswer(from: "fd77::1")
            for host in [hosts.left, hosts.right] {
                // Of two sessions that were dialled at the same time the first may have brought the answer.
                try await eventually("connected") {
                    try await host.status().peers[0].agreement?.state == "connected"
                }
                try expectNoFailure(of: await host.status().peers[0])
            }
        }

        /// On a busy machine the first call may be given up before the other end is up: nothing failed since.
        private func expectNoFailure(of peer: Status.Peer) throws {
            let agreement = try #require(peer.agreement)
            #expect(agreement.lastFailure == nil && agreement.failures <= 1, "\(agreement)")
        }

        /// The end with the lower key calls.
        @Test(
            "ICX's data goes to its own port, whatever port its own comes from", arguments: [true, false],
            ["tun", "xdp"])
        func icx(icxCalls: Bool, driver: String) async throws {
            let hosts = try await HostPair()
            let (ours, icx) = (hosts.left, hosts.right)
            let ourKey = try await ours.makeIdentity()
            var icxKey: String
            repeat {
                try await icx.shell("rm -f \(icx.folder)/host.key")
                icxKey = try await icx.makeIdentity()
            } while try (Role(local: PublicKey(icxKey), peer: PublicKey(ourKey)) == .initiator) != icxCalls
            try await icx.sendAsICX(dials: icxCalls)
            var own = AgreeingText(1, peerKey: icxKey, calls: !icxCalls)
            own.moreOfInterface = ["ControlPort = 6082", "Driver = \(driver)"]
            if driver == "xdp" { own.moreOfInterface.append("Underlay = underlay") }
            own.moreOfPeer = ["ControlPort = 6082"]
            var other = AgreeingText(2, peerKey: ourKey)
            (other.moreOfInterface, other.moreOfPeer) = (["ControlPort = 6082"], own.moreOfPeer)
            other.moreOfPeer.append("PersistentKeepalive = 1")
            try ours.write(own.text)
            try icx.write(other.text)
            let captures = try await Capture(on: icx, bytesPerFrame: 128)
            try await ours.up()
            try await icx.up()
            try await ours.expectAnswer(from: "10.77.0.2", within: 10)
            // Keep-alives of several ports come meanwhile.
            for _ in 0..<20 {
                try await Task.sleep(for: .milliseconds(200))
                #expect(try await ours.pings("10.77.0.2"))
            }
            let status = try await ours.status()
            #expect(status.peers[0].agreement?.state == "connected")
            try expectNoFailure(of: status.peers[0])
            #expect(status.peers[0].endpoint == "192.0.2.2:6081")
            let datagrams = try await captures.end().compactMap(UDPPorts.init)
            let data = datagrams.filter { $0.isGeneve && $0.isFromICX }
            #expect(data.allSatisfy { $0.source >= 49152 && $0.target == 6081 } && Set(data.map(\.source)).count > 5)
            #expect(datagrams.allSatisfy { $0.isFromICX || !$0.isGeneve || $0.target == 6081 })
        }

        /// What a frame of the underlay with a UDP datagram over IPv4 says of where it goes.
        private struct UDPPorts {
            let isFromICX: Bool
            let source: Int
            let target: Int
            let isGeneve: Bool

            init?(_ frame: [UInt8]) {
                guard frame.count >= 44, frame[12] == 8, frame[13] == 0, frame[14] == 0x45, frame[23] == 17 else {
                    return nil
                }
                isFromICX = frame[29] == 2
                source = Int(frame[34]) << 8 | Int(frame[35])
                target = Int(frame[36]) << 8 | Int(frame[37])
                // Version 0, three words of options.
                isGeneve = frame[42] & 0xC0 == 0 && target != 6082 && source != 6082
            }
        }

        @Test("An endpoint's name is looked up")
        func name() async throws {
            let hosts = try await HostPair()
            let leftKey = try await hosts.left.makeIdentity()
            let rightKey = try await hosts.right.makeIdentity()
            var one = AgreeingText(1, peerKey: rightKey)
            one.endpoint = "right.test:6081"
            try hosts.left.write("192.0.2.2 right.test\n", to: "hosts")
            try await hosts.left.shell("mount --bind \(hosts.left.folder)/hosts /etc/hosts")
            try hosts.left.write(one.text)
            try hosts.right.write(AgreeingText(2, peerKey: leftKey, calls: false).text)
            try await hosts.right.up()
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2")
        }

        @Test(
            "An end that can't call is found within 3 s of its return, though its peer doesn't send",
            arguments: [0, 3, 11])
        func quietPeer(pause: Int) async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing(calls: (true, false))
            try await Task.sleep(for: .milliseconds(500))
            try await hosts.right.crash()
            try await Task.sleep(for: .seconds(pause))
            try await hosts.right.up()
            let time = try await timeUntilAnswer(hosts, at: hosts.right, from: "10.77.0.1")
            print("back after \(time), having been away for \(pause) s")
            #expect(time <= .seconds(3))
        }

        /// What can befall an end.
        enum Blow: CaseIterable {
            case kill, restart, freeze, cut, renumber
        }

        /// Where one end can't call, the end that was struck sends, and the other one doesn't.
        @Test(
            "Whatever befalls either end, traffic flows again within 3 s of its return, and no nonce occurs twice",
            arguments: [true, false])
        func blows(bothCall: Bool) async throws {
            let rounds = Int(ProcessInfo.processInfo.environment["WEFT_BLOWS"] ?? "") ?? (bothCall ? 10 : 5)
            let hosts = try await HostPair()
            // Room to renumber.
            for (host, number) in [(hosts.left, 1), (hosts.right, 2)] {
                try await host.shell(
                    "ip address flush dev underlay; ip address add 192.0.2.\(number)/24 dev underlay")
            }
            let captures = try await Capture(on: hosts.left, bytesPerFrame: 128)
            try await hosts.bringUpAgreeing(calls: (true, bothCall))
            var start: [(descriptors: Int, kibibytes: Int)] = []
            for host in [hosts.left, hosts.right] { start.append(try await host.resources(of: host.process())) }
            var slowest: [Blow: Duration] = [:]
            for round in 0..<rounds {
                let isLeft = Bool.random()
                let blow = Blow.allCases[round % Blow.allCases.count]
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...2000)))
                print("round \(round): \(blow) on \(isLeft ? "left" : "right")")
                let times = try await strike(
                    blow, isLeft ? hosts.left : hosts.right, number: isLeft ? 1 : 2,
                    pingingFrom: bothCall || isLeft ? hosts.left : hosts.right, hosts)
                for time in times {
                    slowest[blow] = max(slowest[blow] ?? .zero, time)
                    #expect(time <= .seconds(3), "round \(round): \(blow) on \(isLeft ? "left" : "right")")
                }
            }
            print("slowest return by blow, \(bothCall ? "both call" : "one calls"): \(slowest)")
            for (index, host) in [hosts.left, hosts.right].enumerated() {
                let now = try await host.resources(of: host.process())
                #expect(now.descriptors <= start[index].descriptors + 2)
                #expect(now.kibibytes <= start[index].kibibytes + 16 * 1024)
                print("resources of \(host.name): \(start[index]) then, \(now) now")
            }
            try expectFreshNonces(try await captures.end())
        }

        /// Does it, and gives how long traffic took to flow again after each return.
        private func strike(
            _ blow: Blow, _ host: Host, number: Int, pingingFrom sender: Host, _ hosts: HostPair
        ) async throws -> [Duration] {
            let target = sender === hosts.left ? "10.77.0.2" : "10.77.0.1"
            let pause = Duration.milliseconds(Int.random(in: 100...5000))
            switch blow {
            case .kill:
                try await host.crash()
                try await Task.sleep(for: pause)
                try await host.up()
            case .restart:
                try await host.down()
                try await Task.sleep(for: pause)
                try await host.up()
            case .freeze:
                let process = try await host.process()
                try await host.shell("kill -STOP \(process)")
                try await Task.sleep(for: pause)
                try await host.shell("kill -CONT \(process)")
            case .cut:
                // The device stays up, as somebody captures there.
                try await host.shell(
                    """
                    nft add table inet cut
                    nft 'add chain inet cut from { type filter hook input priority 0; }'
                    nft 'add chain inet cut to { type filter hook output priority 0; }'
                    nft add rule inet cut from iifname underlay drop
                    nft add rule inet cut to oifname underlay drop
                    """)
                try await Task.sleep(for: pause)
                try await host.shell("nft delete table inet cut")
            case .renumber:
                var times: [Duration] = []
                for (old, new) in [(number, number + 100), (number + 100, number)] {
                    try await host.shell(
                        """
                        ip address add 192.0.2.\(new)/24 dev underlay
                        ip address delete 192.0.2.\(old)/24 dev underlay
                        ip address show dev underlay | grep -q 192.0.2.\(new)/ || ip address add 192.0.2.\(new)/24 dev underlay
                        """)
                    times.append(try await timeUntilAnswer(hosts, at: sender, from: target))
                    try await Task.sleep(for: .milliseconds(500))
                }
                return times
            }
            return [try await timeUntilAnswer(hosts, at: sender, from: target)]
        }

        private func timeUntilAnswer(
            _ hosts: HostPair, at host: Host, from address: String
        ) async throws -> Duration {
            let clock = ContinuousClock.now
            do {
                try await host.expectAnswer(from: address, within: 20)
            } catch {
                let left = try await hosts.left.weft("show")
                let right = try await hosts.right.weft("show")
                throw TestFailure("\(error)\n\(left)\n\(right)")
            }
            return ContinuousClock.now - clock
        }

        /// Sessions number their SAs from 1 again, under other keys. Two datagrams under one nonce and one key would differ
        /// as their plaintexts do, which all begin with a header of the same addresses, or be equal where there is none.
        private func expectFreshNonces(_ frames: [[UInt8]]) throws {
            var seen: [SealedDatagram.Nonce: [[UInt8]]] = [:]
            var count = 0
            let datagrams = frames.compactMap { SealedDatagram(frame: $0) }
            // Control passes the same port.
            for datagram in datagrams where datagram.payload.starts(with: [6, 0x40]) {
                count += 1
                for other in seen[datagram.nonce] ?? [] {
                    let addresses = Geneve.headerLength + 12..<Geneve.headerLength + 20
                    let isReused =
                        datagram.payload == other
                        || min(datagram.payload.count, other.count) > Geneve.overhead + 20
                            && datagram.payload[addresses].elementsEqual(other[addresses])
                    #expect(!isReused, "\(datagram.nonce) twice under one key")
                }
                seen[datagram.nonce, default: []].append(datagram.payload)
            }
            #expect(count > 20)
        }
    }
}
