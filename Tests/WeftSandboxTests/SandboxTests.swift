// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Testing

@testable import WeftSandbox

/// A process that confined itself, as the kernel sees it, and what it gets when it tries more.
@Suite(.serialized) struct SandboxTests {
    static let isRoot = geteuid() == 0
    /// CAP_NET_ADMIN; for AF_XDP also CAP_NET_RAW and CAP_BPF, and CAP_IPC_LOCK where locked memory has a limit.
    static let roles = [
        ("tun", 1 << 12), ("xdp", 1 << 12 | 1 << 13 | 1 << 39 | (isMemoryLimited ? 1 << 14 : 0)), ("control", 0),
        ("spawner", 0),
    ]

    private static var isMemoryLimited: Bool {
        var limit = rlimit()
        return unsafe getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) != 0 || limit.rlim_cur != .max
    }

    private func expectConfined(_ probe: Probe, capabilities: Int, bounding: Int) throws {
        func set(_ name: String) throws -> Int? { try probe.status(name).flatMap { Int($0, radix: 16) } }
        #expect(try set("CapPrm") == capabilities)
        #expect(try set("CapEff") == capabilities)
        #expect(try set("CapInh") == 0)
        #expect(try set("CapAmb") == 0)
        #expect(try set("CapBnd") == bounding)
        #expect(try probe.status("NoNewPrivs") == "1")
        #expect(try probe.status("Seccomp") == "2")
    }

    @Test(.enabled(if: isRoot), arguments: roles)
    func rootBecomesAnotherUser(_ role: String, _ capabilities: Int) throws {
        let probe = try Probe(role, user: 2_003_107_841)
        #expect(probe.nextLine() == "ready true")
        try expectConfined(probe, capabilities: capabilities, bounding: 0)
        let ids = Array(repeating: "2003107841", count: 4).joined(separator: "\t")
        #expect(try probe.status("Uid") == ids)
        #expect(try probe.status("Gid") == ids)
        #expect(try probe.status("Groups") == "2003107841")
        #expect(probe.end() == nil)
    }

    @Test(.enabled(if: isRoot), arguments: roles)
    func rootWithoutAnotherUserStaysAndLosesTheRest(_ role: String, _ capabilities: Int) throws {
        let probe = try Probe(role)
        #expect(probe.nextLine() == "ready true")
        try expectConfined(probe, capabilities: capabilities, bounding: 0)
        #expect(try probe.status("Uid") == "0\t0\t0\t0")
        #expect(probe.end() == nil)
    }

    @Test(.enabled(if: isRoot), arguments: roles)
    func rootOfANamespaceWithOneUserStays(_ role: String, _ capabilities: Int) throws {
        let probe = try Probe(role, user: 2_003_107_841, by: ["unshare", "-Urn"])
        #expect(probe.nextLine() == "ready false")
        try expectConfined(probe, capabilities: capabilities, bounding: 0)
        #expect(try probe.status("Uid") == "0\t0\t0\t0")
        #expect(probe.end() == nil)
    }

    @Test(.enabled(if: isRoot), arguments: roles)
    func anOrdinaryUserStaysAndLosesTheRest(_ role: String, _: Int) throws {
        let probe = try Probe(
            role, user: 2_003_107_841,
            by: ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all,+chown"])
        #expect(probe.nextLine() == "ready false")
        // The bounding set is CAP_SETPCAP's to change; with no_new_privs it decides nothing.
        try expectConfined(probe, capabilities: 0, bounding: 1)
        #expect(try probe.status("Uid") == "65534\t65534\t65534\t65534")
        #expect(probe.end() == nil)
    }

    /// The memory is nobody's but root's to look at: what `/proc` says of it belongs to root.
    @Test(.enabled(if: isRoot), arguments: roles)
    func nobodyElseLooksIntoTheMemory(_ role: String, _: Int) throws {
        let probe = try Probe(role, user: 2_003_107_841)
        #expect(probe.nextLine() == "ready true")
        let owner = try FileManager.default.attributesOfItem(atPath: "/proc/\(probe.number)/mem")[.ownerAccountID]
        #expect(owner as? Int == 0)
        #expect(try probe.limit("Max core file size") == "0 0")
        #expect(probe.end() == nil)
    }
}
