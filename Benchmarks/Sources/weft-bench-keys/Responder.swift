// SPDX-License-Identifier: Apache-2.0
import Foundation
import Weft
import WeftControl
import WeftKeys

/// The responder in a process of its own, so that its memory can be told.
enum Responder {
    /// Reads the initiators' keys from standard input, a line each, and answers until it is ended.
    static func serve() throws {
        var initiators: [AuthorizedInitiator] = []
        while let line = readLine(), !line.isEmpty {
            initiators.append(
                AuthorizedInitiator(
                    publicKey: try PublicKey(line), prefixes: [Prefix("10.0.0.0/8")].compactMap(\.self)))
        }
        let engine = try Engine(EngineConfiguration(lanes: 4))
        let wake = try WakeEvent()
        let link = try OwnPort(wake: wake)
        let identity = try Identity.generate()
        let server = try KeyServer(
            identity,
            .init(localPrefixes: [Prefix("10.0.0.0/8")].compactMap(\.self), lifetime: .seconds(3600)),
            initiators: initiators, engine: engine, over: link, wake: wake, log: { _ in })
        try FileHandle.standardOutput.write(contentsOf: Data("\(link.port) \(identity.publicKey)\n".utf8))
        server.run()
    }

    /// A responder that was started: its process, where it listens, and its key.
    struct Started {
        let process: Process
        let endpoint: Endpoint
        let key: PublicKey

        /// Resident KiB.
        func memory() throws -> Int {
            let status = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
            return line.split(separator: " ").compactMap { Int($0) }.first ?? 0
        }
    }

    struct NotStarted: Error {}

    static func start(for initiators: [PublicKey]) throws -> Started {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["serve"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let lines = initiators.map { "\($0)\n" }.joined() + "\n"
        try input.fileHandleForWriting.write(contentsOf: Data(lines.utf8))
        var said = ""
        while !said.hasSuffix("\n") {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { throw NotStarted() }
            said += String(decoding: data, as: UTF8.self)
        }
        let words = said.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let port = UInt16(words[0]) else { throw NotStarted() }
        return Started(
            process: process, endpoint: Endpoint(IPAddress(v4: 0x7F00_0001), port: port),
            key: try PublicKey(String(words[1])))
    }
}
