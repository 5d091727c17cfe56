// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Testing

@testable import WeftSandbox

/// Each kind of system call that is answered otherwise than without a filter.
@Suite(.serialized) struct SystemCallTests {
    static let notPermitted = "-1"
    static let noSuchCall = "-38"
    static let all = ["tun", "xdp", "control", "spawner"]
    /// A sanitizer's build allows more.
    static let isPlain = test_is_sanitized() == 0

    private func probe(_ role: String) throws -> Probe {
        let probe = try Probe(role)
        #expect(probe.nextLine() == "ready true")
        return probe
    }

    @Test(.enabled(if: isPlain), arguments: all, SystemCallFilter.inexcusable)
    func theInexcusableEndsTheProcess(_ role: String, _ call: String) throws {
        let probe = try probe(role)
        #expect(probe.ask("call \(call)") == nil)
        #expect(probe.end() == SIGSYS)
    }

    @Test(arguments: [
        ("tun", "bpf"), ("tun", "execveat"), ("control", "bpf"), ("control", "execveat"), ("spawner", "bpf"),
    ])
    func soDoesWhatOnlyAnotherRoleNeeds(_ role: String, _ call: String) throws {
        let probe = try probe(role)
        #expect(probe.ask("call \(call)") == nil)
        #expect(probe.end() == SIGSYS)
    }

    @Test(.enabled(if: isPlain), arguments: ["tun", "spawner"], SystemCallFilter.namespaceFlags)
    func soDoesANewNamespace(_ role: String, _ flag: UInt64) throws {
        let probe = try probe(role)
        #expect(probe.ask("call clone \(flag)") == nil)
        #expect(probe.end() == SIGSYS)
    }

    /// Refused to all: rights of files, kernel keys, rings and counters, other processes, what a filter can't see.
    static let refused = anywhere.filter { SystemCallFilter.number(of: $0).map { $0 >= 0 } ?? false }
    private static let anywhere = [
        "chown", "fchown", "fchownat", "fchmodat", "link", "linkat", "symlinkat", "mknodat", "setuid", "setresuid",
        "setgroups",
        "io_uring_setup", "perf_event_open", "userfaultfd", "keyctl", "add_key", "open_by_handle_at", "pidfd_open",
        "pidfd_getfd", "reboot", "swapon", "settimeofday", "acct", "quotactl", "vfork", "kcmp", "personality",
    ]

    @Test(.enabled(if: isPlain), arguments: ["tun", "xdp", "control"])
    func whatIsNotListedIsRefusedAndCounted(_ role: String) throws {
        let probe = try probe(role)
        for call in Self.refused { #expect(probe.ask("call \(call)") == Self.notPermitted, "\(call)") }
        #expect(probe.ask("refused") == Self.refused.map { "\($0) 1" }.sorted().joined(separator: ", "))
        #expect(probe.ask("call chown") == Self.notPermitted)
        #expect(probe.ask("refused")?.contains("chown 2, ") == true)
        #expect(probe.end() == nil)
    }

    @Test(.enabled(if: isPlain)) func theSpawnerIsRefusedWithoutACount() throws {
        let probe = try probe("spawner")
        for call in Self.refused { #expect(probe.ask("call \(call)") == Self.notPermitted, "\(call)") }
        #expect(probe.ask("refused") == "")
    }

    /// A thread that blocks SIGSYS would die.
    @Test func aThreadIsRefusedLikewise() throws {
        let probe = try probe("tun")
        #expect(probe.ask("thread chown") == Self.notPermitted)
        #expect(probe.ask("refused") == "chown 1")
        #expect(probe.end() == nil)
    }

    @Test(arguments: all) func theCLibraryFallsBackToClone(_ role: String) throws {
        #expect(try probe(role).ask("call clone3") == Self.noSuchCall)
    }

    /// Arguments of `call`; a number that no rule knows, and one beyond an `int` that the kernel takes for the first.
    static let arguments: [(String, String)] = [
        ("tun", "clone 17"), ("tun", "socket 38 5 0"), ("tun", "socket 16 3 15"), ("tun", "socket 44 3 0"),
        ("tun", "socketpair 2 1 0"), ("tun", "kill 1 0"), ("tun", "tgkill 1 1 0"), ("tun", "ioctl 0 21522"),
        ("tun", "mprotect 0 4096 4"), ("tun", "mmap 0 4096 7 34 -1"), ("tun", "mmap 0 4096 4 34 -1"),
        ("tun", "prlimit64 1 0 0 0"), ("tun", "prctl 36 1"), ("xdp", "bpf 5"), ("xdp", "bpf 0"), ("xdp", "clone 17"),
        ("control", "openat -100"), ("control", "socket 1 1 0"), ("control", "clone 17"), ("control", "clone 67840"),
        ("control", "mmap 0 4096 4 34 -1"), ("control", "mprotect 0 4096 4"), ("control", "connect"),
        ("control", "kill 1 0"), ("control", "prctl 36 1"), ("control", "ioctl 0 21505"), ("control", "prlimit64"),
        ("spawner", "socket 1 1 0"), ("spawner", "socket 2 2 0"), ("spawner", "kill 1 0"), ("spawner", "execveat 0"),
        ("spawner", "connect"), ("spawner", "ioctl 0 21522"),
    ]

    @Test(.enabled(if: isPlain), arguments: arguments)
    func argumentsDecide(_ role: String, _ call: String) throws {
        #expect(try probe(role).ask("call \(call)") == Self.notPermitted)
    }

    /// The same calls with what a role is there for; the kernel itself answers, with a descriptor or its own errors.
    static let allowed: [(String, String)] = [
        ("tun", "socket 1 1 0"), ("tun", "socket 2 2 0"), ("tun", "socket 10 2 0"), ("tun", "socket 16 3 0"),
        ("tun", "socket 16 3 12"), ("xdp", "socket 44 3 0"), ("xdp", "bpf 1"), ("tun", "ioctl -1 35088"),
        ("tun", "socketpair 1 5 0"), ("control", "fcntl 0 3"), ("spawner", "socketpair 1 5 0"),
        ("control", "getrandom"),
    ]

    @Test(.enabled(if: SandboxTests.isRoot), arguments: allowed)
    func andWhatARoleIsForIsAllowed(_ role: String, _ call: String) throws {
        let probe = try probe(role)
        #expect(probe.ask("call \(call)") != Self.notPermitted)
        #expect(probe.ask("refused") == "")
    }

    @Test func theSpawnerStartsKillsAndReaps() throws {
        let probe = try probe("spawner")
        #expect(probe.ask("spawn control") == "ready true")
        // It is confined twice over.
        #expect(try probe.childStatus("Seccomp_filters") == "2")
        #expect(probe.ask("call socket 1 1 0") == Self.notPermitted)
        #expect(probe.ask("refused") == "socket 1")
        #expect(probe.ask("exit") == "0")
        #expect(probe.ask("stop") == "-1")
        #expect(probe.end() == nil)
    }

    /// Each name is a call's, on this kind of processor or another.
    @Test func everyNameIsKnown() {
        for name in SystemCallFilter.ordinary + SystemCallFilter.inexcusable + Self.anywhere {
            #expect(SystemCallFilter.number(of: name) != nil, "\(name)")
        }
    }
}
