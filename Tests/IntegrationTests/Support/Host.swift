// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Testing

/// A host made of namespaces: a network and processes of its own, and a folder.
///
/// Its first process waits for the end of its standard input, a pipe from this process. Whatever ends us, it then
/// ends too, and the kernel ends all others of its namespace, and with them goes the network.
final class Host: Sendable {
    let name: String
    /// Holds the runtime folder `run`, the state folder `state`, and tunnel files.
    let folder: String
    private let holder: ChildProcess
    private let lifeline: Int32

    init(_ name: String) async throws {
        self.name = name
        folder = NSTemporaryDirectory() + "weft-\(name)-\(UUID().uuidString.prefix(8))"
        for part in ["", "/run", "/state"] {
            try FileManager.default.createDirectory(
                atPath: folder + part, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        }
        var ends: [Int32] = [0, 0]
        guard unsafe test_pipe(&ends) == 0 else { throw TestFailure("no pipe") }
        lifeline = ends[1]
        defer { close(ends[0]) }
        holder = try ChildProcess(
            [
                "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--",
                "sh", "-c", "echo ready; exec cat",
            ], input: ends[0])
        try await eventually("host \(name)") {
            if holder.hasEnded { throw TestFailure("no namespaces: \(holder.output)") }
            return holder.output.standardOutput == "ready\n"
        }
        try await run("ip", "link", "set", "lo", "up")
    }

    deinit {
        holder.kill(SIGKILL)
        close(lifeline)
        recordSanitizerReports()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// What a command that was built with a sanitizer found.
    private func recordSanitizerReports() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasPrefix("sanitizer") {
            let report = try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
            Issue.record("on \(self.name): \(report ?? "a report that can't be read")")
        }
    }

    /// The process in whose namespaces the host's processes run.
    var processIdentifier: pid_t { holder.identifier }

    private func entering(_ command: [String]) -> [String] {
        let namespaces = "/proc/\(holder.identifier)/ns"
        return [
            "nsenter", "--net=\(namespaces)/net", "--mount=\(namespaces)/mnt",
            "--pid=\(namespaces)/pid_for_children", "--",
            "env", "LC_ALL=C", "NO_COLOR=1", "WEFT_RUNTIME_DIRECTORY=\(folder)/run",
            "TSAN_OPTIONS=log_path=\(folder)/sanitizer", "ASAN_OPTIONS=log_path=\(folder)/sanitizer",
        ] + command
    }

    /// Starts a command on this host.
    func start(_ command: [String]) throws -> ChildProcess { try ChildProcess(entering(command)) }

    /// Runs a command on this host, whatever it exits with.
    func attempt(_ command: [String], atMost seconds: Double = 20) async throws -> Output {
        try await start(command).wait(atMost: seconds)
    }

    /// Runs a command on this host that must succeed, and gives its standard output.
    @discardableResult
    func run(_ command: String...) async throws -> String {
        let output = try await attempt(command)
        guard output.status == 0 else { throw TestFailure("on \(name): \(output)") }
        return output.standardOutput
    }

    /// Runs a shell's script on this host that must succeed, and gives its standard output.
    @discardableResult
    func shell(_ script: String) async throws -> String { try await run("sh", "-c", script) }

    /// Runs `body` on a thread of its own in this host's network; what it opens stays there.
    func inNetwork<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        let path = "/proc/\(holder.identifier)/ns/net"
        return try await withCheckedThrowingContinuation { continuation in
            Thread {
                continuation.resume(
                    with: Swift.Result {
                        guard unsafe test_enter_network(path) == 0 else {
                            throw TestFailure("cannot enter \(path): \(lastError)")
                        }
                        return try body()
                    })
            }.start()
        }
    }
}

/// Two hosts, left and right, whose devices `underlay` are joined: 192.0.2.1 and .2, fd00::1 and ::2.
struct HostPair: Sendable {
    let left: Host
    let right: Host

    init() async throws {
        left = try await Host("left")
        right = try await Host("right")
        try await join()
    }

    /// Makes the underlay, which may be gone.
    func join() async throws {
        let link = try await ChildProcess([
            "ip", "link", "add", "name", "underlay", "address", "02:00:00:00:00:01",
            "netns", "\(left.processIdentifier)", "type", "veth",
            "peer", "name", "underlay", "address", "02:00:00:00:00:02", "netns", "\(right.processIdentifier)",
        ]).wait()
        guard link.status == 0 else { throw TestFailure("\(link)") }
        for (host, number) in [(left, 1), (right, 2)] {
            // Without a link-local address no router is looked for, and all addresses are usable at once. Without
            // segmentation offload a capture shows each datagram by itself.
            try await host.shell(
                """
                ip link set underlay up addrgenmode none
                ip address add 192.0.2.\(number)/30 dev underlay
                ip address add fd00::\(number)/64 dev underlay nodad
                ethtool -K underlay tx-udp-segmentation off
                """)
        }
    }
}
