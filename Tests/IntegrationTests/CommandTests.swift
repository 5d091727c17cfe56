// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

/// Verbs that need no tunnel and no root.
@Suite("The command by itself")
struct CommandTests {
    private let folder = NSTemporaryDirectory() + "weft-command-\(UUID().uuidString)"

    private func weft(_ arguments: String...) async throws -> Output {
        try await ChildProcess([WeftCommand.path] + arguments).wait()
    }

    private func expectDone(_ output: Output, sourceLocation: SourceLocation = #_sourceLocation) -> String {
        #expect(output.status == 0, "\(output)", sourceLocation: sourceLocation)
        #expect(output.standardError.isEmpty, "\(output)", sourceLocation: sourceLocation)
        return output.standardOutput
    }

    @Test("genkey --manual prints a new key each time, in the form that files take")
    func manualKeys() async throws {
        let keys = [expectDone(try await weft("genkey", "--manual")), expectDone(try await weft("genkey", "--manual"))]
        #expect(keys[0] != keys[1])
        for key in keys {
            #expect(key.hasSuffix("==\n"))
            #expect(Data(base64Encoded: String(key.dropLast()))?.count == 16)
        }
    }

    @Test("An identity is written for its owner alone, is kept, and has one public key")
    func identities() async throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/identity.pem"
        #expect(expectDone(try await weft("genkey", path)).isEmpty)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let key = expectDone(try await weft("pubkey", path))
        #expect(key == expectDone(try await weft("pubkey", path)))
        let again = try await weft("genkey", path)
        #expect(again.status == 1 && again.standardError.contains(path), "\(again)")
        #expect(key == expectDone(try await weft("pubkey", path)))
        #expect(expectDone(try await weft("genkey", path, "--force")).isEmpty)
        #expect(key != expectDone(try await weft("pubkey", path)))
        #expect(expectDone(try await weft("genkey")).hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
        let none = try await weft("pubkey", "\(folder)/none")
        #expect(none.status == 1 && none.standardError.contains("none"), "\(none)")
    }

    @Test("Help covers each verb and each reason for a drop")
    func help() async throws {
        let overview = expectDone(try await weft("help"))
        for verb in Verb.allCases.map(\.rawValue) {
            #expect(overview.contains("weft \(verb)"))
            #expect(expectDone(try await weft("help", verb)).contains("usage: weft \(verb)"))
            #expect(expectDone(try await weft(verb, "--help")).contains("usage: weft \(verb)"))
        }
        let drops = expectDone(try await weft("help", "drops"))
        for reason in DropReason.allCases { #expect(drops.contains("  \(reason) ")) }
        #expect(try await weft("help", "nothing").status == 2)
        #expect(expectDone(try await weft("--version")).hasPrefix("weft "))
    }

    @Test("identify gives each datagram of a capture its kind, the reason, and totals")
    func identify() async throws {
        let corpus = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Corpus")
        let text = expectDone(try await weft("identify", corpus.appendingPathComponent("stun.pcap").path))
        #expect(text.contains("1  192.0.2.1:") && text.contains(" > 192.0.2.2:3478  20 bytes: stun, has STUN's"))
        #expect(text.hasSuffix("8 datagrams: stun 8\n"))
        struct Report: Decodable {
            struct Totals: Decodable {
                let datagrams: Int
                let kinds: [String: Int]
            }
            let datagrams: [[String: Anything]]
            let totals: Totals
        }
        struct Anything: Decodable { init(from decoder: any Decoder) throws {} }
        let json = expectDone(try await weft("identify", "--json", corpus.appendingPathComponent("quic.pcap").path))
        let report = try JSONDecoder().decode(Report.self, from: Data(json.utf8))
        #expect(report.totals.kinds == ["control": report.totals.datagrams] && report.datagrams.count > 10)
        let none = try await weft("identify", "\(folder)/none")
        #expect(none.status == 1 && none.standardError.contains("cannot read"), "\(none)")
        let noCapture = try await weft("identify", #filePath)
        #expect(noCapture.status == 1 && !noCapture.standardError.isEmpty, "\(noCapture)")
    }

    @Test("stun says what a server is named like, and that there is none")
    func stun() async throws {
        let bad = try await weft("stun", "a b")
        #expect(bad.status == 2 && bad.standardError.contains("HOST:PORT"), "\(bad)")
        let silent = try await weft("stun", "127.0.0.1:9")
        #expect(silent.status == 1 && silent.standardOutput.contains("127.0.0.1:9: no answer"), "\(silent)")
    }

    @Test("Completion for bash is a script that bash takes, and that completes verbs")
    func completion() async throws {
        for shell in ["zsh", "fish"] { #expect(expectDone(try await weft("completion", shell)).contains("weft")) }
        let script = """
            source <("$0" completion bash)
            COMP_WORDS=(weft ch) COMP_CWORD=1
            _weft
            echo "${COMPREPLY[*]}"
            """
        let output = try await ChildProcess(["bash", "-c", script, WeftCommand.path]).wait()
        #expect(expectDone(output) == "check\n")
        #expect(try await weft("completion", "csh").status == 2)
    }
}
