// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftControl

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("A key server and its initiators")
    struct KeyServing {
        /// What goes into a key server's file; beside it lies `host.key`.
        private struct ServerText {
            var moreOfInterface: [String] = []
            var initiators: [(key: PublicKey, allowedIPs: String, more: String)] = []

            var text: String {
                """
                [Interface]
                Address = 10.77.0.1/24, fd77::1/64
                MTU = 1400
                PrivateKeyFile = host.key
                \(moreOfInterface.joined(separator: "\n"))

                """
                    + initiators.map { initiator in
                        """
                        [Initiator]
                        PublicKey = \(initiator.key)
                        AllowedIPs = \(initiator.allowedIPs)
                        \(initiator.more)

                        """
                    }.joined()
            }
        }

        /// Starts the server on the left host, and gives its key.
        private func serve(_ hosts: HostPair, _ file: ServerText) async throws -> PublicKey {
            let key = try PublicKey(try await hosts.left.makeIdentity())
            try hosts.left.write(file.text, to: "keys.conf")
            try await start(hosts.left)
            return key
        }

        private func start(_ host: Host) async throws {
            try await host.run(WeftCommand.path, "keyserve", "--detach", "\(host.folder)/keys.conf")
        }

        private func reload(_ host: Host, _ file: ServerText) async throws -> Output {
            try host.write(file.text, to: "keys.conf")
            return try await host.weft("reload", "keys")
        }

        private func keys(_ host: Host) async throws -> KeyServerStatus {
            try await host.status("keys").keyServer.orFail()
        }

        private func pings(_ host: Host, from source: String, _ target: String) async throws -> Bool {
            try await host.pings(target, patience: "2", "-I", source)
        }

        @Test(
            "Traffic flows both ways through a granted network, and no more once it is released",
            arguments: [nil, 6082], ["tun", "xdp"])
        func traffic(controlPort: Int?, driver: String) async throws {
            let hosts = try await HostPair()
            let identity = try Identity.generate()
            var file = ServerText(initiators: [(identity.publicKey, "10.80.0.0/16, fd80::/64", "")])
            if let controlPort { file.moreOfInterface.append("ControlPort = \(controlPort)") }
            file.moreOfInterface.append("Driver = \(driver)")
            if driver == "xdp" { file.moreOfInterface.append("Underlay = underlay") }
            let server = try await serve(hosts, file)
            // ICX's initiators have a port of their own for control, and so do these.
            if controlPort != nil { try await hosts.right.sendAsICX(dials: false) }
            let initiator = try await KeyInitiator.make(
                on: hosts.right, identity, asking: server, addresses: ["10.80.0.1/32", "fd80::1/128"],
                controlPort: controlPort.map { UInt16($0) })
            defer { initiator.close() }
            let one = try await initiator.network(for: "10.80.0.1")
            let two = try await initiator.network(for: "fd80::1")
            #expect(one.vni != two.vni)
            // The server has the networks before the answers are there.
            #expect(try await pings(hosts.right, from: "10.80.0.1", "10.77.0.1"))
            #expect(try await pings(hosts.right, from: "fd80::1", "fd77::1"))
            #expect(try await pings(hosts.left, from: "10.77.0.1", "10.80.0.1"))
            #expect(try await pings(hosts.left, from: "fd77::1", "fd80::1"))

            let shown = try await hosts.left.weft("show", "keys")
            let name = String(initiator.publicKey.fingerprint.prefix(10))
            for text in [
                "networks: 2 granted, 0 VNIs in quarantine", "initiator: \(name)", "session: connected from 192.0.2.2:",
                "networks: 2 of 1024", "grants: 2, 0 released",
            ] { #expect(shown.standardOutput.contains(text), "\(shown)") }
            #expect(!shown.standardOutput.contains("10.80.0.1"))
            let listed = try await hosts.left.weft("show", "keys", "--networks")
            #expect(listed.standardOutput.contains("vni \(one.vni): 10.80.0.1, "), "\(listed)")
            let json = try await hosts.left.weft("show", "keys", "--networks", "--json")
            let all = try JSONDecoder().decode([Status].self, from: Data(json.standardOutput.utf8))
            let networks = try (all.first?.keyServer?.networks).orFail()
            #expect(Set(networks.map(\.vni)) == [one.vni, two.vni])
            #expect(networks.allSatisfy { $0.rx.packets > 0 && $0.tx.packets > 0 && $0.endpoint == "192.0.2.2:6081" })

            try initiator.release(one)
            try await eventually("the release") { try await keys(hosts.left).totals.networks == 1 }
            let status = try await keys(hosts.left)
            #expect(status.totals.quarantined == 1 && status.totals.releases == 1)
            #expect(try await !pings(hosts.left, from: "10.77.0.1", "10.80.0.1"))
            #expect(try await hosts.left.status("keys").drops(.noRoute) > 0)
            #expect(try await pings(hosts.right, from: "fd80::1", "fd77::1"))

            initiator.client.close()
            try await eventually("the session's end") { try await keys(hosts.left).totals.networks == 0 }
            #expect(try await keys(hosts.left).initiators.map(\.state) == ["absent"])
            #expect(initiator.lost == [] || initiator.lost == [two.vni])
        }

        @Test("Who may ask gets what its file says, and nobody else anything")
        func refusals() async throws {
            let hosts = try await HostPair()
            let first = try Identity.generate()
            let second = try Identity.generate()
            let stranger = try Identity.generate()
            let server = try await serve(
                hosts,
                ServerText(initiators: [
                    (first.publicKey, "10.80.0.0/16, 10.77.0.0/24", "Networks = 2"),
                    (second.publicKey, "10.80.0.0/16", "Suite = AES-256-GCM"),
                ]))
            let one = try await KeyInitiator.make(
                on: hosts.right, first, asking: server, device: "weft1", addresses: ["10.80.0.1/32"])
            let two = try await KeyInitiator.make(
                on: hosts.right, second, asking: server, device: "weft2", addresses: ["10.80.0.2/32"], isRouted: false,
                port: 6090)
            let three = try await KeyInitiator.make(
                on: hosts.right, stranger, asking: server, device: "weft3", addresses: ["10.80.0.3/32"],
                isRouted: false,
                port: 6091)
            defer { for initiator in [one, two, three] { initiator.close() } }

            let held = try await one.network(for: "10.80.0.1")
            #expect(try await one.refusal(of: "10.81.0.1") == .rejected)
            #expect(try await one.refusal(of: "fd80::1") == .rejected)
            // The server's own.
            #expect(try await one.refusal(of: "10.77.0.1") == .rejected)
            // Another suite than the file's.
            #expect(try await two.refusal(of: "10.80.0.9") == .rejected)
            guard case .session = try await three.refusal(of: "10.80.0.3") else {
                Issue.record("a stranger was heard")
                return
            }
            let other = try await one.client.network(for: IPAddress("10.80.7.7").orFail())
            #expect(try await one.refusal(of: "10.80.7.8") == .rejected)
            one.client.release(other)
            try await eventually("the release") { try await keys(hosts.left).totals.networks == 1 }
            #expect(try await one.refusal(of: "10.80.7.8") == nil)

            var status = try await keys(hosts.left)
            #expect(status.initiators.map(\.refusals) == [["prefix": 3, "limit": 1], ["suite": 1]])
            #expect(status.totals.refusals == ["prefix": 3, "limit": 1, "suite": 1])
            #expect(status.initiators[0].mostNetworks == 2)

            // The second with its suite as it is: the address is the first's until that gives it back.
            let outcome = try await reload(
                hosts.left,
                ServerText(initiators: [
                    (one.publicKey, "10.80.0.0/16, 10.77.0.0/24", "Networks = 2"), (two.publicKey, "10.80.0.0/16", ""),
                ]))
            #expect(outcome.status == 0 && outcome.standardOutput.contains("Suite AES-128-GCM"), "\(outcome)")
            #expect(try await pings(hosts.right, from: "10.80.0.1", "10.77.0.1"))
            try await eventually("the second's next session") { try await two.refusal(of: "10.80.0.9") == nil }
            #expect(try await two.refusal(of: "10.80.0.1") == .rejected)
            status = try await keys(hosts.left)
            #expect(status.initiators[1].refusals["held"] == 1)
            try one.release(held)
            try await eventually("the release") { try await keys(hosts.left).initiators[0].networks == 0 }
            #expect(try await two.refusal(of: "10.80.0.1") == nil)
        }

        @Test("A call through another's network, or one's own, comes to nothing, and no packet is sealed twice")
        func throughTheTunnel() async throws {
            let hosts = try await HostPair()
            let inside = try Identity.generate()
            let outside = try Identity.generate()
            let server = try await serve(
                hosts,
                ServerText(initiators: [
                    (outside.publicKey, "10.80.0.0/16", ""), (inside.publicKey, "10.80.0.0/16", ""),
                ]))
            let one = try await KeyInitiator.make(
                on: hosts.right, outside, asking: server, device: "weft1", addresses: ["10.80.0.1/32"])
            defer { one.close() }
            _ = try await one.network(for: "10.80.0.1")
            #expect(try await pings(hosts.right, from: "10.80.0.1", "10.77.0.1"))
            // The server's overlay address is reached through the first's network.
            let two = try await KeyInitiator.make(
                on: hosts.right, inside, asking: server, device: "weft2", addresses: ["10.80.0.2/32"], isRouted: false,
                port: 6090, at: "10.77.0.1")
            defer { two.close() }
            #expect(try await two.refusal(of: "10.80.0.2") != nil)
            let status = try await hosts.left.status("keys")
            #expect(status.keyServer?.initiators.map(\.networks) == [1, 0])
            // A few calls in 10 s, which the kernel has no way to answer.
            #expect(status.totals.toUnderlay < 100, "\(status.totals)")
            #expect(try await pings(hosts.right, from: "10.80.0.1", "10.77.0.1"))
        }

        @Test("A reload: one initiator goes with its networks, another comes, a third loses no packet")
        func reload() async throws {
            let hosts = try await HostPair()
            let leaving = try Identity.generate()
            let staying = try Identity.generate()
            let coming = try Identity.generate()
            let stays = (staying.publicKey, "10.80.0.0/16", "")
            var file = ServerText(initiators: [(leaving.publicKey, "10.81.0.0/16", ""), stays])
            let comes = (coming.publicKey, "10.82.0.0/16", "")
            let server = try await serve(hosts, file)
            let gone = try await KeyInitiator.make(
                on: hosts.right, leaving, asking: server, device: "weft1", addresses: ["10.81.0.1/32"], isRouted: false,
                port: 6090)
            let kept = try await KeyInitiator.make(
                on: hosts.right, staying, asking: server, device: "weft2", addresses: ["10.80.0.1/32"])
            let new = try await KeyInitiator.make(
                on: hosts.right, coming, asking: server, device: "weft3", addresses: ["10.82.0.1/32"], isRouted: false,
                port: 6091)
            defer { for initiator in [gone, kept, new] { initiator.close() } }
            let lost = try await gone.network(for: "10.81.0.1")
            let held = try await kept.network(for: "10.80.0.1")
            guard case .session = try await new.refusal(of: "10.82.0.1") else {
                Issue.record("it isn't listed yet")
                return
            }
            let flood = try hosts.right.start([
                "ping", "-q", "-I", "10.80.0.1", "-i", "0.002", "-c", "1000", "10.77.0.1",
            ])

            file.initiators = [stays, comes]
            let plan = try hosts.left.write(file.text, to: "next.conf")
            let planned = try await hosts.left.weft("check", plan, "--against", "keys")
            let names = [gone, new].map { String($0.publicKey.fingerprint.prefix(10)) }
            for line in ["- initiator \(names[0]): goes", "+ initiator \(names[1]): comes"] {
                #expect(planned.status == 0 && planned.standardOutput.contains(line), "\(planned)")
            }
            let outcome = try await reload(hosts.left, file)
            #expect(outcome.status == 0 && outcome.standardOutput == planned.standardOutput, "\(outcome)")

            try await eventually("the loss") { gone.lost == [lost.vni] }
            let status = try await keys(hosts.left)
            #expect(status.initiators.map(\.networks) == [1, 0])
            #expect(try await hosts.left.shell("ip route show 10.81.0.0/16").isEmpty)
            #expect(try await hosts.left.shell("ip route show 10.82.0.0/16").contains("keys"))
            guard case .session = try await gone.refusal(of: "10.81.0.1") else {
                Issue.record("it isn't listed any more")
                return
            }
            try await eventually("the new one's network") { try await new.refusal(of: "10.82.0.1") == nil }
            let ping = try await flood.wait()
            #expect(ping.standardOutput.contains(" 1000 received, 0% packet loss"), "\(ping)")
            #expect(kept.lost == [] && held.vni != lost.vni)

            // What a key server can't become while it runs.
            let refused = try await reload(
                hosts.left, ServerText(moreOfInterface: ["LocalIPs = 10.77.0.1/32, fd77::/64"]))
            #expect(refused.status == 1 && refused.standardError.contains("LocalIPs in [Interface]"), "\(refused)")
            #expect(try await pings(hosts.right, from: "10.80.0.1", "10.77.0.1"))
        }

        @Test("After a restart initiators ask again, be it orderly or not", arguments: [true, false])
        func restart(orderly: Bool) async throws {
            let hosts = try await HostPair()
            let identity = try Identity.generate()
            let server = try await serve(
                hosts, ServerText(initiators: [(identity.publicKey, "10.80.0.0/16", "")]))
            let initiator = try await KeyInitiator.make(
                on: hosts.right, identity, asking: server, addresses: ["10.80.0.1/32"])
            defer { initiator.close() }
            let before = try await initiator.network(for: "10.80.0.1")
            #expect(try await pings(hosts.right, from: "10.80.0.1", "10.77.0.1"))
            if orderly {
                try await hosts.left.down("keys")
                try await eventually("the loss", within: 1) { initiator.lost == [before.vni] }
            } else {
                try await hosts.left.crash("keys")
            }
            try await start(hosts.left)
            // A request shows a server that was killed to have forgotten the session: its answer is a reset.
            try await eventually("the loss") {
                if initiator.lost.isEmpty { _ = try await initiator.refusal(of: "10.80.0.9") }
                return initiator.lost.contains(before.vni)
            }
            try initiator.engine.remove(.vni(before.vni))
            let after = try await initiator.network(for: "10.80.0.1")
            #expect(try await pings(hosts.right, from: "10.80.0.1", "10.77.0.1"))
            #expect(try await pings(hosts.left, from: "10.77.0.1", "10.80.0.1"))
            #expect(try await keys(hosts.left).initiators[0].networks == 1)
            #expect(after.vni != before.vni)
        }
    }
}
