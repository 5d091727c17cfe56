// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft
import WeftCommand
import WeftSandbox

/// The process that starts, kills and reaps control processes, and holds the identity key for them.
///
/// It is forked while the command has one thread and has read nothing, and has one thread itself. Nothing that it does depends on
/// what a stranger sent.
struct Spawner: ~Copyable {
    private let socket: Int32
    /// What the control process' program is open on.
    private let program: Int32
    private let name: String
    private var identity: Int32 = -1
    /// The control process that runs.
    private var child: Int32 = -1
    private var pidfd: Int32 = -1

    /// Where a control process finds what it gets.
    static let pairDescriptor: Int32 = 3
    static let identityDescriptor: Int32 = 4

    /// Serves the requests that come by `socket` until the data process is gone; then the control process goes, too.
    static func serve(_ socket: Int32, program: Int32, name: String) -> Never {
        unsafe weft_name_thread("weft-spawner")
        // The data process says when we end; what a terminal or a service manager sends to all is for it.
        var ending = sigset_t()
        unsafe sigemptyset(&ending)
        for signal in Signals.all { unsafe sigaddset(&ending, signal) }
        unsafe sigprocmask(SIG_BLOCK, &ending, nil)
        var spawner = Spawner(socket: socket, program: program, name: name)
        while spawner.step() {}
        if spawner.pidfd >= 0 {
            _ = weft_signal(spawner.pidfd, SIGKILL)
            _ = waitid(P_PID, id_t(spawner.child), nil, WEXITED)
        }
        exit(0)
    }

    private init(socket: Int32, program: Int32, name: String) {
        self.socket = socket
        self.program = program
        self.name = name
    }

    /// Waits for the next thing to do, and does it; false when there is nobody left to do it for.
    private mutating func step() -> Bool {
        var waiting = (
            pollfd(fd: socket, events: Int16(POLLIN), revents: 0), pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        )
        let count = unsafe withUnsafeMutableBytes(of: &waiting) { bytes in
            // Safe: a tuple of two of the same structure lies in memory like an array of two.
            unsafe poll(bytes.assumingMemoryBound(to: pollfd.self).baseAddress, 2, -1)
        }
        if count < 0 { return errno == EINTR }
        if waiting.1.revents != 0 { reap() }
        return waiting.0.revents == 0 || serveRequest()
    }

    private mutating func serveRequest() -> Bool {
        var bytes = [UInt8](repeating: 0, count: SpawnerRequest.byteCount)
        var passed: Int32 = -1
        var number: UInt32 = 1
        let count = unsafe weft_receive_descriptors(socket, &bytes, bytes.count, &passed, &number, 0)
        if number == 1 {
            // Above those that the control process gets, which one may be.
            let high = weft_duplicate_above(passed, Self.identityDescriptor)
            close(passed)
            passed = high
        }
        guard count > 0, let request = SpawnerRequest(Array(bytes.prefix(count))) else { return false }
        switch request {
        case .confine(let user, let group):
            guard identity < 0, number == 1 else { return false }
            identity = passed
            // The control process locks its memory without any capability.
            _ = weft_unlimit_locked_memory()
            do throws(SandboxError) {
                try Sandbox.enter(.spawner(program: program), as: ProcessUser(user: user, group: group))
            } catch {
                return false
            }
        case .start:
            guard number == 1, identity >= 0 else { return false }
            start(passed)
            close(passed)
        case .kill: if pidfd >= 0 { _ = weft_signal(pidfd, SIGKILL) }
        }
        return true
    }

    private mutating func start(_ pair: Int32) {
        guard child < 0 else { return report(.failed(errno: EBUSY)) }
        let process = unsafe weft_fork(&pidfd)
        if process == 0 { becomeControl(pair) }
        guard process > 0 else { return report(.failed(errno: errno)) }
        child = process
        report(.started(process: process))
    }

    /// In the new process: runs the program with the pair and the key, and nothing else of ours.
    private func becomeControl(_ pair: Int32) -> Never {
        guard dup2(pair, Self.pairDescriptor) >= 0, dup2(identity, Self.identityDescriptor) >= 0 else { _exit(126) }
        // Safe: the copies live until the program runs; if it can't, the process ends.
        var arguments = unsafe [strdup("weft-control"), strdup(name), nil]
        // Who prints a backtrace would start a program for it.
        var environment = unsafe [strdup("SWIFT_BACKTRACE=enable=no"), nil]
        _ = unsafe weft_execute(program, &arguments, &environment)
        _exit(127)
    }

    private mutating func reap() {
        var information = unsafe siginfo_t()
        let code = unsafe waitid(P_PID, id_t(child), &information, WEXITED)
        guard code == 0 || errno != EINTR else { return }
        let (how, status) = code == 0 ? unsafe (information.si_code, weft_exit_status(&information)) : (0, 0)
        close(pidfd)
        pidfd = -1
        child = -1
        report(.ended(code: how, status: status))
    }

    private func report(_ report: SpawnerReport) {
        let bytes = report.bytes
        _ = unsafe weft_send_descriptors(socket, bytes, bytes.count, nil, 0)
    }
}
