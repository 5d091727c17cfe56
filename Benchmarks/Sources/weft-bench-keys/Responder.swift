// SPDX-License-Identifier: Apache-2.0
import Foundation
import Weft
import WeftControl
import WeftKeys
import WeftUDP

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

        /// Resident KiB, its own processes' included.
        func memory() throws -> Int {
            let (table, parents) = try Self.processes()
            var sum = 0
            var waiting = [process.processIdentifier]
            while let next = waiting.popLast() {
                sum += table[next] ?? 0
                waiting += parents.filter { $0.value == next }.map(\.key)
            }
            return sum
        }

        /// Resident KiB and parents of all processes.
        private static func processes() throws -> ([Int32: Int], [Int32: Int32]) {
            var resident: [Int32: Int] = [:]
            var parents: [Int32: Int32] = [:]
            for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
                guard let number = Int32(name),
                    let status = try? String(contentsOfFile: "/proc/\(name)/status", encoding: .utf8)
                else { continue }
                for line in status.split(separator: "\n") {
                    let words = line.split(whereSeparator: \.isWhitespace)
                    guard words.count > 1, let value = Int(words[1]) else { continue }
                    if words[0] == "VmRSS:" { resident[number] = value }
                    if words[0] == "PPid:" { parents[number] = Int32(value) }
                }
            }
            return (resident, parents)
        }
    }

    struct NotStarted: Error {}

    /// Runs `weft keyserve` by the command at a path, in the network that we are in, where it needs root.
    static func start(_ command: String, for initiators: [PublicKey]) throws -> Started {
        let folder = FileManager.default.temporaryDirectory.appending(path: "weft-bench-keys-\(getpid())")
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let identity = try Identity.generate()
        let pem = identity.pem()
        let file = folder.appending(path: "benchkeys.conf")
        var text =
            "[Interface]\nAddress = 10.255.255.1/32\nListenPort = 47081\nTable = off\nPrivateKeyFile = host.key\n"
        for initiator in initiators {
            text += "[Initiator]\nPublicKey = \(initiator)\nAllowedIPs = 10.0.0.0/9\nNetworks = 1024\n"
        }
        for (name, data) in [
            ("host.key", unsafe Data(pem.span.withUnsafeBufferPointer { unsafe Array($0) })),
            ("benchkeys.conf", Data(text.utf8)),
        ] {
            guard
                FileManager.default.createFile(
                    atPath: folder.appending(path: name).path(), contents: data,
                    attributes: [.posixPermissions: 0o600])
            else { throw NotStarted() }
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command)
        process.arguments = ["keyserve", file.path()]
        process.environment = ["WEFT_RUNTIME_DIRECTORY": folder.path()]
        let output = Pipe()
        process.standardError = output
        try process.run()
        var said = ""
        while !said.contains("up on UDP port") {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else {
                print(said)
                throw NotStarted()
            }
            said += String(decoding: data, as: UTF8.self)
        }
        // What it says later would fill the pipe.
        output.fileHandleForReading.readabilityHandler = { _ = $0.availableData }
        return Started(
            process: process, endpoint: Endpoint(IPAddress(v4: 0x7F00_0001), port: 47081), key: identity.publicKey)
    }

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
