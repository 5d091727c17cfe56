// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

/// The units for systemd, as its own tools judge them; systemd needn't run for that.
@Suite("Units")
struct UnitTests {
    static let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../docs/systemd").standardizedFileURL
    static let names = ((try? FileManager.default.contentsOfDirectory(atPath: source.path)) ?? [])
        .filter { $0.hasSuffix(".service") }.sorted()
    /// For a user's own systemd, which can confine it little, and whose tunnel has nothing on the host to guard.
    static let own = "user/weft@.service"

    /// Writes a unit as `make install` does, as an instance, and lends its path.
    private func installed(_ name: String, _ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weft-units-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let text = try String(contentsOf: Self.source.appendingPathComponent(name), encoding: .utf8)
        let binaries = URL(fileURLWithPath: WeftCommand.path).deletingLastPathComponent().path
        let unit = folder.appendingPathComponent(
            URL(fileURLWithPath: name).lastPathComponent.replacing("@", with: "@test"))
        try Data(text.replacing("@bindir@", with: binaries).utf8).write(to: unit)
        try await body(unit.path)
    }

    @Test("all are there") func found() { #expect(Self.names.count == 3) }

    @Test("keep what a tunnel guards closed while systemd restarts it", arguments: names)
    func restartSignal(_ name: String) async throws {
        try await installed(name) { path in
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.contains("\nRestartKillSignal=SIGUSR1\n") != name.contains("map"))
        }
    }

    @Test("expose at most 3.0 of 10", arguments: names)
    func exposure(_ name: String) async throws {
        try await installed(name) { path in
            let output = try await ChildProcess(
                ["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", path]
            ).wait()
            #expect(output.status == 0, "\(output)")
            #expect(output.standardOutput.contains("Overall exposure level for"), "\(output)")
        }
    }

    @Test("hold nothing that systemd doesn't know", arguments: names + [own])
    func known(_ name: String) async throws {
        try await installed(name) { path in
            let output = try await ChildProcess(["systemd-analyze", "verify", "--man=no", path]).wait()
            // Of units that aren't ours it may complain.
            let file = URL(fileURLWithPath: path).lastPathComponent
            #expect(!output.standardError.contains(file), "\(output)")
        }
    }

    @Test("name users that systemd can make")
    func users() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weft-users-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("etc/sysusers.d"), withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.copyItem(
            at: Self.source.appendingPathComponent("weft.sysusers"),
            to: folder.appendingPathComponent("etc/sysusers.d/weft.conf"))
        let output = try await ChildProcess(["systemd-sysusers", "--root=\(folder.path)", "weft.conf"]).wait()
        #expect(output.status == 0, "\(output)")
        let accounts = try String(contentsOf: folder.appendingPathComponent("etc/passwd"), encoding: .utf8)
        #expect(accounts.split(separator: "\n").map { $0.prefix { $0 != ":" } } == ["weft", "weft-control"])
    }
}
