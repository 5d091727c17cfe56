// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// What a command left.
struct Output: CustomStringConvertible {
    let command: [String]
    /// The exit status, or 128 and the signal's number.
    let status: Int32
    let standardOutput: String
    let standardError: String

    var description: String {
        "\(command.joined(separator: " ")): exit status \(status)\n\(standardOutput)\(standardError)"
    }
}

/// Why a test could not go on.
struct TestFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// A process that a test started. Its output goes to files, so that nobody who inherits them holds anything up.
final class ChildProcess: Sendable {
    let identifier: pid_t
    private let command: [String]
    private let folder: String
    private let status = Mutex<Int32?>(nil)

    /// - Parameter input: a descriptor for standard input, or nil for `/dev/null`.
    init(_ command: [String], input: Int32? = nil) throws {
        self.command = command
        folder = NSTemporaryDirectory() + "weft-child-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)

        var actions = posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        if let input {
            unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        } else {
            unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        }
        let flags = O_WRONLY | O_CREAT | O_APPEND
        unsafe posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "\(folder)/out", flags, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "\(folder)/err", flags, 0o600)
        // Whatever else this process has open is no business of the child's.
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        unsafe sigemptyset(&noSignals)
        unsafe posix_spawnattr_setsigmask(&attributes, &noSignals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        var identifier: pid_t = 0
        let error = unsafe posix_spawnp(&identifier, command[0], &actions, &attributes, &arguments, environ)
        guard error == 0 else {
            try? FileManager.default.removeItem(atPath: folder)
            throw TestFailure("cannot start \(command[0]): \(String(cString: unsafe strerror(error)))")
        }
        self.identifier = identifier
    }

    deinit {
        kill(SIGKILL)
        _ = unsafe waitpid(identifier, nil, 0)
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Whether it has ended.
    var hasEnded: Bool {
        status.withLock { status in
            if status == nil {
                var raw: Int32 = 0
                if unsafe waitpid(identifier, &raw, WNOHANG) == identifier {
                    status = raw & 0x7F == 0 ? raw >> 8 & 0xFF : 128 + raw & 0x7F
                }
            }
            return status != nil
        }
    }

    func kill(_ signal: Int32) {
        if !hasEnded { _ = Glibc.kill(identifier, signal) }
    }

    /// What it has written until now.
    var output: Output {
        func text(_ name: String) -> String {
            (try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))).map {
                String(decoding: $0, as: UTF8.self)
            }
                ?? ""
        }
        return Output(
            command: command, status: status.withLock { $0 } ?? -1, standardOutput: text("out"),
            standardError: text("err"))
    }

    /// Waits until it has ended, `seconds` at most.
    func wait(atMost seconds: Double = 20) async throws -> Output {
        do {
            try await eventually("the end of \(command.joined(separator: " "))", within: seconds) { hasEnded }
        } catch {
            kill(SIGKILL)
            throw TestFailure("\(error); until then: \(output)")
        }
        return output
    }
}

/// Waits until `condition` holds, and looks often.
func eventually(
    _ what: String, within seconds: Double = 10, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw TestFailure("waited \(seconds) s for \(what), in vain") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
