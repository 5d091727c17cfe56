// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import CWeftLinux
import CWeftSeccomp
import Glibc
import Weft
import WeftSandbox

/// `sandbox-probe ROLE [USER]` confines itself and says `ready`, and as whom. Then each line of standard input is tried:
///
/// - `call NAME ARGUMENT...`: a system call; answered with its result or the negative errno
/// - `thread NAME ARGUMENT...`: the same on another thread
/// - `refused`: the calls that were counted
/// - `spawn ROLE`: as spawner, a probe of its own, which answers until `exit`; then with its exit status, or -1 for a signal
/// - `stop`: as spawner, a probe that is killed at once
@main
struct SandboxProbe {
    static func main() {
        let arguments = CommandLine.arguments
        let program = unsafe open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        let roles: [String: ProcessRole] = [
            "tun": .data(usesXDP: false), "xdp": .data(usesXDP: true), "control": .control,
            "spawner": .spawner(program: program),
        ]
        guard arguments.count > 1, let role = roles[arguments[1]] else { exit(2) }
        let user = arguments.count > 2 ? UInt32(arguments[2]) : nil
        do throws(SandboxError) {
            let changed = try Sandbox.enter(role, as: user.map { ProcessUser(user: $0, group: $0) } ?? .current)
            say("ready \(changed)")
        } catch {
            say("\(error)")
            exit(1)
        }
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            switch words.first {
            case "call": say("\(call(words.dropFirst()))")
            case "thread": say("\(onThread(words.dropFirst()))")
            case "refused":
                say(RefusedCalls.counts.map { "\($0.name) \($0.count)" }.sorted().joined(separator: ", "))
            case "spawn": say("\(spawn(program, words[1], kills: false))")
            case "stop": say("\(spawn(program, "control", kills: true))")
            default: exit(0)
            }
        }
    }

    private static func call(_ words: ArraySlice<String>) -> Int {
        guard let name = words.first else { return 0 }
        let number = unsafe name.withCString { unsafe seccomp_syscall_resolve_name($0) }
        var values = words.dropFirst().compactMap { Int($0) }
        values += Array(repeating: 0, count: 5)
        return test_call(Int(number), values[0], values[1], values[2], values[3], values[4])
    }

    private static func onThread(_ words: ArraySlice<String>) -> Int {
        let result = SharedResult()
        guard let thread = try? WorkerThread(name: "probe", { result.value = call(words) }) else { return 1 }
        thread.join()
        return result.value
    }

    /// Written by one thread before the other reads: `join` stands between.
    private final class SharedResult: @unchecked Sendable { var value = 0 }

    private static func spawn(_ program: Int32, _ role: String, kills: Bool) -> Int {
        var pidfd: Int32 = -1
        let child = unsafe weft_fork(&pidfd)
        if child == 0 {
            var words = unsafe [strdup("sandbox-probe"), strdup(role), nil]
            var none: [UnsafeMutablePointer<CChar>?] = unsafe [nil]
            _ = unsafe weft_execute(program, &words, &none)
            exit(126)
        }
        guard child > 0 else { return Int(-errno) }
        if kills, weft_signal(pidfd, SIGKILL) != 0 { return Int(-errno) }
        var status: Int32 = 0
        guard unsafe waitpid(child, &status, 0) == child else { return Int(-errno) }
        close(pidfd)
        return status & 0x7F == 0 ? Int(status >> 8) & 0xFF : -1
    }

    /// A line, byte by byte: what follows it may be another process's to read.
    private static func readLine() -> String? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while unsafe read(STDIN_FILENO, &byte, 1) == 1 {
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
        return nil
    }

    private static func say(_ text: String) {
        let line = Array("\(text)\n".utf8)
        _ = unsafe write(STDOUT_FILENO, line, line.count)
    }
}
