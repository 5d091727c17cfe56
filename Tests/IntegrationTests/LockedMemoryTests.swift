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

        /// Where in a process' memory some bytes are, as the kernel's flags of their mappings; those of what it only reads are left out.
        private func flags(of bytes: [UInt8], in process: Int32, on host: Host) throws -> [String] {
            // Its number is one of the host's own.
            let folder = "/proc/\(host.processIdentifier)/root/proc/\(process)"
            let maps = try String(contentsOfFile: "\(folder)/smaps", encoding: .utf8)
            let memory = try #require(FileHandle(forReadingAtPath: "\(folder)/mem"))
            var found: [String] = []
            var range: (start: UInt64, end: UInt64)?
            for line in maps.split(separator: "\n") {
                let words = line.split(separator: " ")
                if line.hasPrefix("VmFlags:"), let (start, end) = range, end - start <= 1 << 30 {
                    try memory.seek(toOffset: start)
                    // What isn't there yet can't be read at once.
                    let data = (try? memory.read(upToCount: Int(end - start))) ?? Data()
                    let count = data.ranges(of: Data(bytes)).count
                    found += [String](repeating: String(line), count: count)
                } else if let bounds = words.first?.split(separator: "-"), bounds.count == 2, words.count > 1,
                    let start = UInt64(bounds[0], radix: 16), let end = UInt64(bounds[1], radix: 16)
                {
                    range = words[1].hasPrefix("rw") ? (start, end) : nil
                }
            }
            return found
        }

        @Test(
            "Manual keys lie in locked memory that no dump shows, and their text nowhere else",
            .enabled(if: mayLift, "needs CAP_SYS_RESOURCE"),
            .disabled(if: test_is_sanitized() != 0, "a sanitizer lets nothing be locked"))
        func manualKeys() async throws {
            let host = try await Host("alone")
            let file = TunnelText.pair().left
            try host.write(file)
            try await host.up()
            let process = try await host.process()
            for text in [file.sendKey, file.receiveKey] {
                let key = Array(try #require(Data(base64Encoded: text)))
                let places = try flags(of: key, in: process, on: host)
                #expect(!places.isEmpty)
                for flags in places + (try flags(of: Array(text.utf8), in: process, on: host)) {
                    #expect(flags.contains(" lo ") && flags.contains(" dd "), "\(flags)")
                }
            }
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
