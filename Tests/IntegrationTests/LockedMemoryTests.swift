// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Locked memory")
    struct LockedMemory {
        /// A size in the status of the host's control process, in KiB.
        private func size(_ name: String, on host: Host) async throws -> Int {
            let process = try #require(try await host.controlProcess())
            let text = try await host.shell("grep ^\(name): /proc/\(process)/status")
            return try #require(Int(text.filter(\.isNumber)), "\(text)")
        }

        /// Whether the limit may be lifted for a control process, which has no capability itself.
        private static let mayLift: Bool = {
            let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
            let line = text.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
            let capabilities = UInt64(line?.dropFirst(7).trimmingCharacters(in: .whitespaces) ?? "", radix: 16) ?? 0
            // CAP_SYS_RESOURCE.
            return capabilities >> 24 & 1 != 0
        }()

        @Test(
            "A control process locks all its memory, and no more comes into use by that",
            .enabled(if: mayLift, "needs CAP_SYS_RESOURCE"),
            .disabled(if: test_is_sanitized() != 0, "a sanitizer lets nothing be locked"))
        func locked() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing()
            let locked = try await size("VmLck", on: hosts.left)
            let resident = try await size("VmRSS", on: hosts.left)
            #expect(locked >= resident, "VmLck \(locked) KiB, VmRSS \(resident) KiB")
            #expect(resident < locked / 2, "only what is used is in memory")
        }

        @Test("One that may not says so and goes on")
        func refused() async throws {
            let hosts = try await HostPair()
            let rightKey = try await hosts.right.makeIdentity()
            _ = try await hosts.left.makeIdentity()
            let path = try hosts.left.write(AgreeingText(1, peerKey: rightKey).text)
            let weft = try hosts.left.start([
                "prlimit", "--memlock=8388608:8388608", "setpriv", "--bounding-set=-sys_resource,-ipc_lock",
                WeftCommand.path, "up", path,
            ])
            try await eventually("the control process") { (try? await hosts.left.controlProcess() ?? nil) != nil }
            #expect(try await size("VmLck", on: hosts.left) < 8192)
            try await hosts.left.down()
            let output = try await weft.wait()
            #expect(output.standardError.contains("may be swapped out"), "\(output)")
        }
    }
}
