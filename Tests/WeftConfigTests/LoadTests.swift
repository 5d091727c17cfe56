// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import WeftTestSupport

@testable import WeftConfig

@Suite("Loading tunnel files")
struct LoadTests {
    private let folder: ScratchFolder
    private var path: String { folder.path + "/weft0.conf" }

    init() throws {
        folder = try ScratchFolder()
    }

    private var findings: [String] {
        do throws(TunnelFileError) {
            _ = try TunnelFile.load(path: path)
            return []
        } catch {
            return error.lines
        }
    }

    @Test("its owner alone may have access", arguments: [0o600, 0o400, 0o700])
    func good(_ mode: Int) throws {
        try folder.write(Array(Samples.small.utf8), to: "weft0.conf", mode: mode)
        #expect(try TunnelFile.load(path: path).peers.map(\.vni) == [7])
        #expect(try TunnelFile.load(path: path).file == path)
    }

    private static let readable = "others can read this file and it holds keys"
    private static let writable = "others can change this file, and with it who is let in"

    @Test(
        "others that can read or change it",
        arguments: [(0o640, readable), (0o604, readable), (0o666, writable), (0o620, writable), (0o602, writable)])
    func exposed(_ mode: Int, _ what: String) throws {
        try folder.write(Array(Samples.small.utf8), to: "weft0.conf", mode: mode)
        #expect(findings == ["\(path): \(what): run chmod 600 \(path)"])
    }

    @Test("others that can change it, though it holds no keys", arguments: [0o666, 0o664, 0o646, 0o622])
    func changeable(_ mode: Int) throws {
        try folder.write(Array("[Interface]\nAddress = 10.0.0.1\n".utf8), to: "weft0.conf", mode: mode)
        #expect(findings == ["\(path): \(Self.writable): run chmod 600 \(path)"])
    }

    @Test("that it is exposed doesn't hide what else is wrong, nor the other way round")
    func both() throws {
        for text in ["[Peers]\nSendKye = \(Samples.keys[0])\n", "SendKey = x\n", "[Interface]\nPrivateKey = x\n"] {
            try folder.write(Array(text.utf8), to: "weft0.conf", mode: 0o644)
            #expect(
                findings.contains { $0.hasSuffix("others can read this file and it holds keys: run chmod 600 \(path)") }
            )
            #expect(findings.count > 1)
        }
    }

    @Test("a file without keys is nobody's secret")
    func noKeys() throws {
        try folder.write(Array("[Interface]\nAddress = 10.0.0.1\n".utf8), to: "weft0.conf", mode: 0o644)
        #expect(findings == [])
    }

    @Test("a folder that others can change, and with it which file stands there")
    func folderOfOthers() throws {
        try folder.write(Array(Samples.small.utf8), to: "weft0.conf")
        try folder.setMode(0o777, of: ".")
        #expect(
            findings == [
                "\(path): \(folder.path) is a folder that others can write (mode 0777), who could put another file in place of this "
                    + "one: run chmod go-w \(folder.path)"
            ])
        try folder.setMode(0o1777, of: ".")
        #expect(findings == [])
    }

    @Test("a stranger's file, whatever it holds", .enabled(if: getuid() == 0))
    func strangers() throws {
        try folder.write([0, 1, 2], to: "weft0.conf")
        try FileManager.default.setAttributes([.ownerAccountID: 4242], ofItemAtPath: path)
        #expect(
            findings == ["\(path): belongs to user 4242, who is neither root nor the caller: run chown root \(path)"])
    }

    @Test("1,000 hostile files: each is taken or refused with a reason")
    func hostile() throws {
        var random = SeededGenerator.fresh()
        let files = try HostileFiles(below: folder.path, count: 1000, sample: Array(Samples.small.utf8), using: &random)
        var taken = 0
        for path in files.paths {
            do throws(TunnelFileError) {
                _ = try TunnelFile.load(path: path)
                taken += 1
            } catch {
                #expect(
                    !error.diagnostics.isEmpty && !error.diagnostics.contains { $0.message.isEmpty },
                    "\(path), seed \(random.seed)")
            }
        }
        #expect(taken > 0 && taken < 900, "\(taken) of 1,000, seed \(random.seed)")
    }

    @Test("what is no file")
    func noFile() throws {
        #expect(findings == ["\(path): cannot open this file: No such file or directory"])
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(findings == ["\(path): expected a regular file, found something else"])
        try FileManager.default.removeItem(atPath: path)
        #expect(unsafe mkfifo(path, 0o600) == 0)
        #expect(findings == ["\(path): expected a regular file, found something else"])
    }

    @Test("a file that is too large is not read to its end")
    func large() throws {
        try folder.write([], to: "weft0.conf")
        #expect(unsafe truncate(path, 1 << 40) == 0)
        #expect(findings == ["\(path): expected a tunnel file of at most 1048576 bytes, found a larger one"])
    }
}
