// SPDX-License-Identifier: Apache-2.0
import CTestSupport
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

/// The last failed call's reason in words.
var lastError: String { unsafe String(cString: strerror(errno)) }

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

        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        // Not a property yet: a throw must not leave -1, all processes, for the end of this object to kill.
        let started = unsafe test_spawn(&arguments, input ?? -1, "\(folder)/out", "\(folder)/err")
        guard started > 0 else {
            let reason = lastError
            try? FileManager.default.removeItem(atPath: folder)
            throw TestFailure("cannot start \(command[0]): \(reason)")
        }
        identifier = started
    }

    deinit {
        kill(SIGKILL)
        if !hasEnded { _ = waitpid(identifier, nil, 0) }
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
