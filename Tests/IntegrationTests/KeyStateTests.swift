// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Key states")
    struct KeyStates {
        /// Uses a tunnel's keys once, lets `change` change something, and tries again.
        private func restart(
            epoch: Int = 1, _ change: (Host, inout TunnelText) async throws -> Void
        ) async throws -> Output {
            let host = try await Host("alone")
            var file = TunnelText.pair().left
            file.epoch = epoch
            try host.write(file)
            try await host.up()
            try await host.down()
            try await change(host, &file)
            let path = try host.write(file)
            let before = try await host.networkState()
            let output = try await host.weft("up", "--detach", path)
            if output.status != 0 { #expect(try await host.networkState() == before) }
            return output
        }

        @Test("The same epoch goes on, a higher one too")
        func sameEpoch() async throws {
            let same = try await restart { _, _ in }
            #expect(same.status == 0, "\(same)")
            let higher = try await restart { _, file in file.epoch = 2 }
            #expect(higher.status == 0, "\(higher)")
        }

        @Test("A lower epoch is refused")
        func lowerEpoch() async throws {
            let output = try await restart(epoch: 5) { _, file in file.epoch = 4 }
            #expect(output.status == 1, "\(output)")
            #expect(output.standardError.contains("Epoch 4 is lower than 5"), "\(output)")
        }

        @Test("A damaged state is refused, and kept")
        func damaged() async throws {
            let output = try await restart { host, _ in
                for path in try host.keyStateFiles() {
                    let text = try String(contentsOfFile: path, encoding: .utf8)
                    try await host.shell("sed -i s/^mark.*/mark\\ 0/ \(path)")
                    #expect(try String(contentsOfFile: path, encoding: .utf8) != text)
                }
            }
            #expect(output.status == 1, "\(output)")
            #expect(output.standardError.contains("damaged"), "\(output)")
            #expect(output.standardError.contains(".state"), "\(output)")
        }

        @Test("An emptied state is refused")
        func emptied() async throws {
            let output = try await restart { host, _ in
                for path in try host.keyStateFiles() { try await host.shell(": >\(path)") }
            }
            #expect(output.status == 1, "\(output)")
            #expect(output.standardError.contains("damaged"), "\(output)")
        }

        @Test("A state that others can change is refused")
        func open() async throws {
            let output = try await restart { host, _ in try await host.shell("chmod 666 \(host.folder)/state/*.state") }
            #expect(output.status == 1, "\(output)")
            #expect(output.standardError.contains("chmod 600"), "\(output)")
        }

        @Test("A state folder that is gone with the folder above it is no fresh start")
        func lost() async throws {
            let output = try await restart { host, file in file.stateDirectory = "\(host.folder)/unmounted/state" }
            #expect(output.status == 1, "\(output)")
            #expect(output.standardError.contains("unmounted/state"), "\(output)")
        }

        @Test("A key that another tunnel uses is refused")
        func inUse() async throws {
            let host = try await Host("alone")
            var file = TunnelText.pair().left
            try host.write(file)
            try await host.up()
            file.listenPort = 7777
            file.address = "10.99.0.1/24, fd99::1/64"
            file.allowedIPs = "10.99.0.2/32, fd99::2/128"
            let output = try await host.weft("up", "--detach", host.write(file, to: "weft1.conf"))
            #expect(output.status == 1, "\(output)")
            #expect(output.standardError.contains("in use by another running tunnel"), "\(output)")
        }
    }
}
