// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Host {
    /// Makes the users `weft` and `weft-control` known on this host alone.
    func makeUsers(_ data: Int, _ control: Int) async throws {
        for (file, rest) in [("passwd", ":/:/usr/sbin/nologin"), ("group", "")] {
            let others = try String(contentsOfFile: "/etc/\(file)", encoding: .utf8)
                .split(separator: "\n").filter { !$0.hasPrefix("weft") }.map(String.init)
            let ours = [("weft", data), ("weft-control", control)].map { name, number in
                file == "passwd" ? "\(name):x:\(number):\(number):\(rest)" : "\(name):x:\(number):"
            }
            try write((others + ours).joined(separator: "\n") + "\n", to: file, mode: 0o644)
            try await shell("mount --bind \(folder)/\(file) /etc/\(file)")
        }
    }

    func forgetUsers() async throws { try await shell("umount /etc/passwd /etc/group") }

    /// A line of `/proc/PID/status`, its words.
    func status(_ line: String, of process: Int32) async throws -> [String] {
        try await shell("grep ^\(line): /proc/\(process)/status").split(whereSeparator: \.isWhitespace).dropFirst()
            .map(String.init)
    }
}

extension Integration {
    @Suite("Users")
    struct Users {
        static let data = 61_201
        static let control = 61_202

        private func owners(_ paths: [String]) throws -> Set<Int> {
            Set(
                try paths.map {
                    try FileManager.default.attributesOfItem(atPath: $0)[.ownerAccountID] as? Int ?? -1
                })
        }

        private func states(_ host: Host) throws -> [String] {
            let folder = "\(host.folder)/state"
            return [folder] + (try FileManager.default.contentsOfDirectory(atPath: folder)).map { "\(folder)/\($0)" }
        }

        @Test("Root's folders of before are taken over without a counter lost, and root's verbs go on working")
        func takeover() async throws {
            let hosts = try await HostPair()
            let host = hosts.left
            let ends = TunnelText.pair()
            let path = try host.write(ends.left)
            try hosts.right.write(ends.right)
            try await hosts.right.up()
            // Without such users all of it is root's, as it always was before.
            try await host.up()
            try await host.expectAnswer(from: "10.77.0.2")
            var before = try #require(try await host.status().peers.first?.send?.counter)
            try await host.down()
            #expect(try owners(states(host) + ["\(host.folder)/run"]) == [0])

            try await host.makeUsers(Self.data, Self.control)
            for _ in 0..<2 {
                try await host.up()
                let status = try await host.status()
                #expect(
                    try await host.status("Uid", of: status.processID) == Array(repeating: "\(Self.data)", count: 4))
                #expect(try owners(states(host) + ["\(host.folder)/run"]) == [Self.data])
                try await host.expectAnswer(from: "10.77.0.2")
                // Counters go on above those that were used, never anew.
                let counter = try #require(try await host.status().peers.first?.send?.counter)
                #expect(counter > before)
                before = counter
                // What came is saved each second, by who is no longer root.
                let saved = try await host.shell("cat \(host.folder)/state/*.state")
                try await eventually("a saved counter") {
                    guard try await host.pings("10.77.0.2") else { return false }
                    return try await host.shell("cat \(host.folder)/state/*.state") != saved
                }
                let reload = try await host.weft("reload", "weft0")
                #expect(reload.standardOutput == "nothing changed\n", "\(reload)")
                try await host.down()
                #expect(try FileManager.default.contentsOfDirectory(atPath: "\(host.folder)/run") == [])
            }

            // Without the users again, root doesn't believe what another could have written, and says what to do.
            try await host.forgetUsers()
            let refused = try await host.weft("up", path)
            #expect(refused.status == 1 && refused.standardError.contains("run chown 0 "), "\(refused)")
        }

        @Test("Each process has a user of its own and no right that it doesn't need", arguments: [true, false])
        func rights(knowsUsers: Bool) async throws {
            let hosts = try await HostPair()
            let host = hosts.left
            if knowsUsers { try await host.makeUsers(Self.data, Self.control) }
            try await hosts.bringUpAgreeing()
            let data = try await host.process()
            let control = try #require(try await host.controlProcess())
            let parent = try await host.status("PPid", of: control)
            let spawner = try #require(parent.first.flatMap { Int32($0) })
            let own = knowsUsers ? Self.control : 0x7765_0000 | 6081
            for (process, user, capabilities) in [
                (data, knowsUsers ? Self.data : 0, "0000000000001000"), (spawner, own, "0000000000000000"),
                (control, own, "0000000000000000"),
            ] {
                for line in ["Uid", "Gid"] {
                    #expect(try await host.status(line, of: process) == Array(repeating: "\(user)", count: 4))
                }
                for line in ["CapPrm", "CapEff"] {
                    #expect(try await host.status(line, of: process) == [capabilities])
                }
                for line in ["CapInh", "CapBnd", "CapAmb"] {
                    #expect(try await host.status(line, of: process) == ["0000000000000000"])
                }
                #expect(try await host.status("NoNewPrivs", of: process) == ["1"])
                #expect(try await host.status("Seccomp", of: process) == ["2"])
            }
            // Of files it has none but /dev/null, the pair and the key.
            let files = try await host.shell("ls -l /proc/\(control)/fd | grep -o '[^ ]*$' | grep ^/ | sort -u")
            let named = files.split(separator: "\n").filter { !$0.hasPrefix("/memfd:") && $0 != "/dev/null" }
            #expect(named.allSatisfy { $0.hasPrefix(host.folder) }, "\(files)")
        }

        @Test("A file that the tunnel can't reach is opened by who reloads it")
        func unreachable() async throws {
            let hosts = try await HostPair()
            let host = hosts.left
            try await host.makeUsers(Self.data, Self.control)
            _ = try await host.makeIdentity()
            let peer = try await hosts.right.makeIdentity()
            try await host.shell("mkdir -m 700 \(host.folder)/own && mv \(host.folder)/host.key \(host.folder)/own")
            var text = AgreeingText(1, peerKey: peer, calls: true)
            try host.write(text.text, to: "own/weft0.conf")
            try await host.run(WeftCommand.path, "up", "--detach", "\(host.folder)/own/weft0.conf")
            text.moreOfPeer = ["PersistentKeepalive = 25"]
            try host.write(text.text, to: "own/weft0.conf")

            // By itself it can't, changes nothing and lives on.
            let process = try await host.process()
            try await host.shell("kill -HUP \(process)")
            let plan = try await host.weft("check", "\(host.folder)/own/weft0.conf", "--against", "weft0")
            #expect(plan.status == 0 && plan.standardOutput.hasSuffix("PersistentKeepalive 25\n"), "\(plan)")
            // A file of somebody else's, who had no say at the start.
            try await host.shell("chown 61204 \(host.folder)/own/weft0.conf")
            let foreign = try await host.weft("reload", "weft0")
            #expect(foreign.status == 1 && foreign.standardError.contains("belongs to user 61204"), "\(foreign)")
            try await host.shell("chown 0 \(host.folder)/own/weft0.conf")
            let reload = try await host.weft("reload", "weft0")
            #expect(reload.status == 0 && reload.standardOutput == plan.standardOutput, "\(reload)")
            #expect(try await host.weft("reload", "weft0").standardOutput == "nothing changed\n")
            #expect(try await host.process() == process)
        }
    }
}
