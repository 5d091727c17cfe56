// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Crashes and restarts")
    struct Crashes {
        @Test("After kill -9 the same file works again within 2 s, as before, and no nonce occurs twice")
        func crash() async throws {
            let hosts = try await HostPair()
            let files = TunnelText.pair()
            try hosts.left.write(files.left)
            try hosts.right.write(files.right)
            let captures = [try await Capture(on: hosts.left, bytesPerFrame: 128)]
            try await hosts.left.up()
            try await hosts.right.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            let before = try await hosts.left.networkState()
            let payload = [UInt8](repeating: 7, count: 300_000)

            for round in 0..<3 {
                #expect(
                    try await hosts.left.echo(payload, by: hosts.right, at: "10.77.0.2", port: 7000 + round) == payload)
                // Datagrams are on their way in both directions as it dies.
                let flood = try hosts.right.start(["ping", "-q", "-i", "0.002", "-w", "10", "10.77.0.1"])
                try await Task.sleep(for: .milliseconds(50))
                try await hosts.left.crash()
                let clock = ContinuousClock.now
                try await hosts.left.up()
                try await hosts.left.expectAnswer(from: "10.77.0.2")
                try await hosts.left.expectAnswer(from: "fd77::2")
                #expect(ContinuousClock.now - clock < .seconds(2))
                flood.kill(SIGKILL)
                expectSame(try await hosts.left.networkState(), before)
            }

            var nonces: Set<SealedDatagram.Nonce> = []
            var sources: Set<[UInt8]> = []
            for frame in try await captures[0].end() {
                guard let datagram = SealedDatagram(frame: frame) else { continue }
                #expect(nonces.insert(datagram.nonce).inserted, "\(datagram.nonce) twice")
                sources.insert(datagram.nonce.source)
            }
            #expect(sources.count == 2)
            #expect(nonces.count > 1000)
        }

        @Test(
            "down takes away what a killed tunnel has left, once",
            arguments: [("tun", "on"), ("xdp", "on"), ("tun", "off")])
        func leftovers(driver: String, guarding: String) async throws {
            let hosts = try await HostPair()
            let before = try await hosts.left.networkState()
            var file = TunnelText.pair().left
            file.moreOfInterface = ["Driver = \(driver)", "Underlay = underlay", "Guard = \(guarding)"]
            try hosts.left.write(file)
            try await hosts.left.up()
            try await hosts.left.crash()
            #expect(try await hosts.left.weft("down", "weft0").status == 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(hosts.left.folder)/run").isEmpty)
            expectSame(try await hosts.left.networkState(), before)
            #expect(try await hosts.left.weft("down", "weft0").status == 3)
        }

        @Test("What was captured more than a second before a crash is refused after the restart")
        func replay() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp()
            let capture = try await Capture(on: hosts.left)
            for _ in 0..<20 { try await hosts.left.expectAnswer(from: "10.77.0.2") }
            let old = try await capture.end().compactMap { SealedDatagram(frame: $0) }.filter {
                $0.nonce.source == [192, 0, 2, 1]
            }
            #expect(old.count >= 20)
            let last = try #require(old.map(\.nonce.counter).max())
            try await eventually("the state file to know counter \(last)") {
                try hosts.right.keyStates().contains { text in
                    text.split(separator: "\n").contains { line in
                        line.hasPrefix("received ") && (UInt64(line.dropFirst(9)) ?? 0) >= last
                    }
                }
            }

            try await hosts.right.crash()
            try await hosts.right.up()
            try await hosts.left.send(old.map(\.payload), to: "192.0.2.2")
            try await eventually("\(old.count) refusals") {
                try await hosts.right.status().drops(.replayed) >= UInt64(old.count)
            }
            let status = try await hosts.right.status()
            #expect(status.drops(.replayed) == UInt64(old.count))
            #expect(status.totals.rx.packets == 0)
            // What is new passes.
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            expectBalance(try await hosts.right.status())
        }
    }
}

/// The state of the network without what the kernel never gives twice: interfaces' numbers, random link-local addresses.
func stable(_ state: String) -> [String] {
    state.split(separator: "\n").map { String($0.replacing(#/^[0-9]+: /#, with: "")) }.filter { !$0.contains("fe80:") }
}

/// Both states' lines, if they differ.
func expectSame(_ new: String, _ old: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let difference = stable(new).difference(from: stable(old))
    #expect(difference.isEmpty, "\(difference)", sourceLocation: sourceLocation)
}

extension Host {
    /// What the state files of this host's keys say.
    func keyStates() throws -> [String] {
        try keyStateFiles().map { try String(contentsOfFile: $0, encoding: .utf8) }
    }

    func keyStateFiles() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(folder)/state").filter { $0.hasSuffix(".state") }
            .map { "\(folder)/state/\($0)" }
    }
}
