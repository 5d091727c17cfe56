// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The build's own tool: compiles eBPF programs and writes a Swift file that holds the objects.
///
///     bpf-embed CLANG OBJCOPY OUTPUT.swift NAME.bpf.c...
@main
enum BPFEmbed {
    static func main() {
        do {
            let arguments = CommandLine.arguments
            guard arguments.count >= 4 else { throw Failure("usage: bpf-embed CLANG OBJCOPY OUTPUT NAME.bpf.c...") }
            let tools = Tools(clang: arguments[1], objcopy: arguments[2])
            let objects = try arguments.dropFirst(4).map { program in
                (name: name(of: program), bytes: try tools.compile(program, beside: arguments[3]))
            }
            try source(of: objects).write(toFile: arguments[3], atomically: true, encoding: .utf8)
            // Not by way of exit: where the tool itself is built with a sanitizer, what Foundation's Process leaks would be a failure.
            _exit(0)
        } catch {
            FileHandle.standardError.write(Data("error: \(error)\n".utf8))
            exit(1)
        }
    }

    static func name(of program: String) -> String {
        String(URL(fileURLWithPath: program).lastPathComponent.dropLast(".bpf.c".count))
    }

    /// Hexadecimal digits in a string literal: an array literal of that size would take the compiler minutes.
    private static func source(of objects: [(name: String, bytes: Data)]) -> String {
        let members = objects.map { object in
            """

                /// \(object.name).bpf.c as an ELF object for libbpf.
                static let \(object.name): [UInt8] = decode("\(digits(of: object.bytes))")

            """
        }
        return """
            // Made by bpf-embed.

            /// This module's eBPF programs.
            enum BPFObject {\(members.joined())
                private static func decode(_ digits: String) -> [UInt8] {
                    let values = digits.utf8.map { $0 < 0x3A ? $0 - 0x30 : $0 - 0x57 }
                    return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
                }
            }

            """
    }

    private static func digits(of bytes: Data) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

struct Tools {
    let clang: String
    let objcopy: String

    func compile(_ program: String, beside output: String) throws -> Data {
        let object = "\(output).\(BPFEmbed.name(of: program)).o"
        defer { try? FileManager.default.removeItem(atPath: object) }
        let folder = URL(fileURLWithPath: program).deletingLastPathComponent().path
        try run(
            clang,
            ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-ffile-prefix-map=\(folder)=."]
                + multiarchIncludes + ["-c", program, "-o", object])
        // The kernel wants BTF; the debugger's sections, five times as large, are for nobody.
        try run(objcopy, ["--strip-debug", object])
        return try Data(contentsOf: URL(fileURLWithPath: object))
    }

    private func run(_ tool: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure("\(tool) \(arguments.joined(separator: " ")) failed")
        }
    }

    /// Debian keeps `asm/` in a folder that is named after the host, which clang doesn't search for another target.
    private var multiarchIncludes: [String] {
        #if arch(x86_64)
            let folder = "/usr/include/x86_64-linux-gnu"
        #elseif arch(arm64)
            let folder = "/usr/include/aarch64-linux-gnu"
        #else
            let folder = "/usr/include"
        #endif
        return FileManager.default.fileExists(atPath: folder) ? ["-I" + folder] : []
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
