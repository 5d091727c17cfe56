// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing
import WeftTestSupport

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Whose files are believed")
    struct FileTrustTests {
        private static let text = "[Interface]\nAddress = 10.77.0.1/24\nPrivateKeyFile = host.key\nDriver = tun\n"

        @Test("A file that others can write: not by check, not by up, and a tunnel that is up keeps what it had")
        func writable() async throws {
            let host = try await Host("alone")
            _ = try await host.makeIdentity()
            let path = try host.write(Self.text, to: "weft0.conf", mode: 0o666)
            for verb in ["check", "up"] {
                let output = try await host.weft(verb, path)
                #expect(output.status == 1 && output.standardError.contains("others can change this file"), "\(output)")
            }
            try await host.shell("chmod 600 \(path)")
            try await host.run(WeftCommand.path, "up", "--detach", path)
            let other = try await Host("other").makeIdentity()
            try host.write(
                "\(Self.text)[Peer]\nPublicKey = \(other)\nAllowedIPs = 198.51.100.0/24\n", to: "weft0.conf",
                mode: 0o666)
            let output = try await host.weft("reload", "weft0")
            #expect(output.status == 1 && output.standardError.contains("others can change this file"), "\(output)")
            #expect(try await host.shell("ip route show dev weft0").contains("198.51.100") == false)
            // By a signal the tunnel reads it itself.
            try await host.shell("kill -HUP \(try await host.process())")
            try await Task.sleep(for: .milliseconds(500))
            #expect(try await host.shell("ip route show dev weft0").contains("198.51.100") == false)
            // The same file, once nobody else can write it.
            try await host.shell("chmod 600 \(path)")
            let good = try await host.weft("reload", "weft0")
            #expect(good.status == 0, "\(good)")
            #expect(try await host.shell("ip route show dev weft0").contains("198.51.100"))
        }

        @Test("A key, or a folder, that others can replace")
        func replaceable() async throws {
            let host = try await Host("alone")
            _ = try await host.makeIdentity()
            let path = try host.write(Self.text, to: "weft0.conf")
            #expect(try await host.weft("check", path).status == 0)
            try await host.shell("chown 61204 \(host.folder)/host.key")
            let key = try await host.weft("check", path)
            #expect(key.status == 1 && key.standardError.contains("host.key belongs to user 61204"), "\(key)")
            try await host.shell("chown 0 \(host.folder)/host.key && chmod 777 \(host.folder)")
            let folder = try await host.weft("check", path)
            #expect(folder.status == 1 && folder.standardError.contains("run chmod go-w \(host.folder)"), "\(folder)")
        }

        @Test("In a user's own private folder: started, compared and reloaded by root")
        func privateFolder() async throws {
            let host = try await Host("alone")
            _ = try await host.makeIdentity()
            let folder = "\(host.folder)/owned"
            try await host.shell(
                "chmod 755 \(host.folder) && mkdir -m 700 \(folder) && mv \(host.folder)/host.key \(folder)/")
            let path = try host.write(Self.text, to: "owned/weft0.conf")
            try await host.shell("chown -R 61204 \(folder)")
            try await host.run(WeftCommand.path, "up", "--detach", path)
            let other = try await Host("other").makeIdentity()
            try host.write(
                "\(Self.text)[Peer]\nPublicKey = \(other)\nAllowedIPs = 198.51.100.0/24\n", to: "owned/weft0.conf")
            for command in [["check", path], ["check", path, "--against", "weft0"], ["reload", "weft0"]] {
                let output = try await host.attempt([WeftCommand.path] + command)
                #expect(output.status == 0, "\(output)")
            }
            #expect(try await host.shell("ip route show dev weft0").contains("198.51.100"))
            // Nobody's word but that user's, there.
            try await host.shell("chown 61205 \(path)")
            let foreign = try await host.weft("reload", "weft0")
            #expect(foreign.status == 1 && foreign.standardError.contains("belongs to user 61205"), "\(foreign)")
        }

        @Test("In a container: one's own below folders of nobody's, and nobody's files not at all")
        func containers() async throws {
            let host = try await Host("alone")
            let path = try host.write("[Interface]\nAddress = 10.77.0.1/24\n", to: "weft0.conf", mode: 0o644)
            try await host.shell("chown -R 61204 \(host.folder)")
            func check(_ map: String) async throws -> Output {
                try await host.attempt([
                    "setpriv", "--reuid", "61204", "--clear-groups", "unshare", "--user", map, WeftCommand.path,
                    "check", path,
                ])
            }
            // The root folder is root's, whom neither namespace knows.
            for map in ["--map-current-user", "--map-root-user"] {
                let output = try await check(map)
                if output.standardError.contains("unshare") { return }
                #expect(output.status == 0, "\(output)")
            }
            try await host.shell("chown 0 \(path)")
            let unknown = try await check("--map-current-user")
            #expect(
                unknown.status == 1 && unknown.standardError.contains("(user namespace) doesn't know"), "\(unknown)")
        }

        @Test(
            "1,000 hostile files: check ends well with each, says why, and steers no terminal", .timeLimit(.minutes(10))
        )
        func hostile() async throws {
            let host = try await Host("alone")
            var random = SeededGenerator.fresh()
            let sample = Array("[Interface]\nAddress = 10.77.0.1/24\nMTU = 1280\n".utf8)
            let folder = "\(host.folder)/hostile"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
            let files = try HostileFiles(below: folder, count: 1000, sample: sample, using: &random)
            let list = "\(host.folder)/list"
            try Data(files.paths.flatMap { Array($0.utf8) + [0] }).write(to: URL(fileURLWithPath: list))
            let script =
                "for path; do timeout 20 '\(WeftCommand.path)' check -- \"$path\" >'\(host.folder)/said' 2>&1; echo \"status $?\"; cat '\(host.folder)/said'; done"
            let output = try await host.attempt(
                ["xargs", "-0", "-n", "100", "-a", list, "sh", "-c", script, "sh"], atMost: 500)
            var counts: [Substring: Int] = [:]
            var isSilent = false
            for line in output.standardOutput.split(separator: "\n", omittingEmptySubsequences: false) {
                #expect(
                    !line.unicodeScalars.contains {
                        $0.properties.generalCategory == .control || $0.properties.isBidiControl
                    }, "\(line.debugDescription), seed \(random.seed)")
                if line.hasPrefix("status ") {
                    #expect(!isSilent, "seed \(random.seed)")
                    counts[line, default: 0] += 1
                    isSilent = true
                } else if !line.isEmpty {
                    isSilent = false
                }
            }
            #expect(
                Set(counts.keys) == ["status 0", "status 1"] && counts.values.reduce(0, +) == 1000,
                "\(counts), seed \(random.seed)")
        }
    }
}
