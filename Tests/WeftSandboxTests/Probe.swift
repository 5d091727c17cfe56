// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// A running `sandbox-probe`, which confines itself and then tries what it is told.
final class Probe {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    static let path: String = {
        let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return tests.deletingLastPathComponent().appendingPathComponent("sandbox-probe").path
    }()

    /// - Parameter wrapper: a command that starts it, such as `unshare -Urn`.
    init(_ role: String, user: UInt32? = nil, by wrapper: [String] = []) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = wrapper + [Self.path, role] + (user.map { ["\($0)"] } ?? [])
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        // Ours would keep its end of the pipe from being seen.
        try output.fileHandleForWriting.close()
    }

    deinit { process.terminate() }

    /// What it answers; nil once it has ended.
    func ask(_ line: String) -> String? {
        // It may have died of the line before.
        guard (try? input.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8))) != nil else { return nil }
        return nextLine()
    }

    func nextLine() -> String? {
        var line = Data()
        while let byte = try? output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty {
            if byte[0] == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line += byte
        }
        return nil
    }

    /// The signal that it ends of; nil if it exits.
    func end() -> Int32? {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
        return process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil
    }

    var number: Int32 { process.processIdentifier }

    /// A line of `/proc/PID/status`, without its name.
    func status(_ name: String) throws -> String? { try Self.status(name, of: number) }

    /// The same of the process that it started.
    func childStatus(_ name: String) throws -> String? {
        let children = try String(contentsOfFile: "/proc/\(number)/task/\(number)/children", encoding: .utf8)
        return try children.split(separator: " ").first.flatMap { Int32($0) }.flatMap { try Self.status(name, of: $0) }
    }

    private static func status(_ name: String, of number: Int32) throws -> String? {
        try String(contentsOfFile: "/proc/\(number)/status", encoding: .utf8)
            .split(separator: "\n").first { $0.hasPrefix("\(name):") }
            .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
    }

    /// The soft and the hard limit of that name.
    func limit(_ name: String) throws -> String? {
        try String(contentsOfFile: "/proc/\(number)/limits", encoding: .utf8)
            .split(separator: "\n").first { $0.hasPrefix(name) }
            .map { $0.dropFirst(name.count).split(separator: " ").prefix(2).joined(separator: " ") }
    }
}
