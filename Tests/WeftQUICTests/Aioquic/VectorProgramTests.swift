// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The vectors that our own derivation is tested with, checked by a program that shares nothing with it.
@Suite(
    "Vectors of docs/weft-1.md, by an independent program",
    .enabled(if: Aioquic.interpreter != nil, "needs aioquic: scripts/install-aioquic.sh installs it"))
struct VectorProgramTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")

    private func check(_ vectors: URL) throws -> (status: Int32, output: String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: try #require(Aioquic.interpreter))
        process.arguments = [
            Self.root.appending(path: "scripts/weft-1-vectors.py").path(percentEncoded: false),
            vectors.path(percentEncoded: false),
        ]
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    @Test("derives the same, and finds one digit that is wrong")
    func vectors() throws {
        let file = Self.root.appending(path: "docs/weft-1-vectors.json")
        let good = try check(file)
        #expect(good.status == 0, "\(good.output)")

        let text = try String(contentsOf: file, encoding: .utf8)
        let key = try #require(text.firstRange(of: "\"responder_receives\": \""))
        let digit = text[key.upperBound] == "0" ? "1" : "0"
        let bad = FileManager.default.temporaryDirectory.appending(path: "weft-vectors-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: bad) }
        try text.replacingCharacters(in: key.upperBound...key.upperBound, with: digit)
            .write(to: bad, atomically: true, encoding: .utf8)
        let found = try check(bad)
        #expect(found.status != 0 && found.output.contains("derived otherwise here"), "\(found.output)")
    }
}
