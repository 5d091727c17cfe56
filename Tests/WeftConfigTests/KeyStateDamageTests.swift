// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftConfig

@Suite("Key states that can't be trusted")
struct KeyStateDamageTests {
    private let fixture: KeyStateFixture

    init() throws {
        fixture = try KeyStateFixture()
    }

    private func outcome() -> KeyStateError? {
        do throws(KeyStateError) {
            _ = try fixture.restart()
            return nil
        } catch {
            return error
        }
    }

    private var isDamaged: Bool {
        guard case .damaged = outcome() else { return false }
        return true
    }

    @Test("any bit of the file that is flipped, and any end that is cut off or added")
    func flips() throws {
        _ = try fixture.restart()
        let good = try fixture.scratch.bytes(of: fixture.file)
        for index in good.indices {
            for bit in 0..<8 as Range<UInt8> {
                var bad = good
                bad[index] ^= 1 << bit
                try fixture.scratch.write(bad, to: fixture.file)
                #expect(isDamaged, "byte \(index), bit \(bit)")
            }
            try fixture.scratch.write(Array(good.prefix(index)), to: fixture.file)
            #expect(isDamaged, "the first \(index) bytes")
        }
        for ending in ["\n", " ", "checksum", "\0"] {
            try fixture.scratch.write(good + Array(ending.utf8), to: fixture.file)
            #expect(isDamaged)
        }
        try fixture.scratch.write([UInt8](repeating: 65, count: 1 << 20), to: fixture.file)
        #expect(isDamaged)
        try fixture.scratch.write(good, to: fixture.file)
        #expect(try fixture.restart().lowerBound == KeyState.step)
    }

    @Test("a record that is well-formed and means nothing")
    func nonsense() throws {
        _ = try fixture.restart()
        for (field, value) in [
            ("mark", "1152921504606846977"), ("mark", "-1"), ("mark", "+1"), ("mark", "01"), ("epoch", "0"),
            ("received", "nobody"),
        ] {
            let content = [
                "weft key state 1", field == "epoch" ? "epoch \(value)" : "epoch 5",
                field == "mark" ? "mark \(value)" : "mark 1",
                "receive-key 00", field == "received" ? "received \(value)" : "received none", "",
            ].joined(separator: "\n")
            let summed = Array("weft key state checksum 1\n\(fixture.name).state\n\(content)".utf8)
            let digest = try #require(SHA256Digest(of: unsafe summed.span.bytes))
            try fixture.scratch.write(Array("\(content)checksum \(digest)\n".utf8), to: fixture.file)
            #expect(isDamaged, "\(field) \(value)")
        }
    }

    @Test("the state of another key")
    func renamed() throws {
        let other = try KeyState.open(
            directory: fixture.directory, sendKey: fixture.otherReceive, receiveKey: fixture.receive, epoch: 9,
            machine: KeyStateFixture.machine)
        other.close()
        let name = try #require(KeyFingerprint(fixture.otherReceive, role: .send))
        try fixture.scratch.write(fixture.scratch.bytes(of: "state/\(name).state"), to: fixture.file)
        #expect(isDamaged)
    }

    @Test("messages say what to do")
    func message() throws {
        _ = try fixture.restart()
        try fixture.scratch.write([], to: fixture.file)
        #expect(
            outcome()?.description == """
                \(fixture.scratch.path)/\(fixture.file): this key state is damaged \
                (line 1: expected weft key state 2), \
                so nobody knows which counters were used: set new keys at both ends, then remove the file
                """)
    }

    @Test("modes of the file, its lock and its folder", arguments: [0o644, 0o400, 0o660, 0o000])
    func modes(_ mode: Int) throws {
        _ = try fixture.restart()
        let octal = String(mode, radix: 8)
        for name in [fixture.file, "state/\(fixture.name).lock"] {
            try fixture.scratch.setMode(mode, of: name)
            let path = "\(fixture.scratch.path)/\(name)"
            if geteuid() == 0 || mode & 0o600 == 0o600 {
                #expect(
                    outcome()
                        == .notOurs(path: path, wrong: "has mode \(octal) rather than 600", remedy: "chmod 600 \(path)")
                )
            } else {
                #expect(outcome() != nil)
            }
            try fixture.scratch.setMode(0o600, of: name)
        }
        try fixture.scratch.setMode(0o750, of: "state")
        #expect(
            outcome()
                == .notOurs(
                    path: fixture.directory, wrong: "others have access to this folder of key states",
                    remedy: "chmod 700 \(fixture.directory)"))
        try fixture.scratch.setMode(0o700, of: "state")
        #expect(try fixture.restart().lowerBound == KeyState.step)
    }

    @Test("another owner", .enabled(if: geteuid() == 0, "only root can give a file away"))
    func owner() throws {
        _ = try fixture.restart()
        for name in [fixture.file, "state/\(fixture.name).lock", "state"] {
            let path = "\(fixture.scratch.path)/\(name)"
            #expect(unsafe chown(path, 1, 1) == 0)
            #expect(
                outcome() == .notOurs(path: path, wrong: "belongs to user 1 rather than 0", remedy: "chown 0 \(path)"))
            #expect(unsafe chown(path, 0, 0) == 0)
        }
    }

    @Test("another owner whom root goes on as", .enabled(if: geteuid() == 0, "only root can give a file away"))
    func handedOver() throws {
        let first = try fixture.restart()
        func open(_ user: uid_t) throws -> KeyState {
            try KeyState.open(
                directory: fixture.directory, sendKey: fixture.send, receiveKey: fixture.receive, epoch: 5,
                owner: FileOwner(user: user, group: user), machine: KeyStateFixture.machine)
        }
        func owners() throws -> Set<uid_t> {
            Set(
                try [fixture.file, "state/\(fixture.name).lock", "state"].map { name in
                    var status = stat()
                    guard unsafe stat("\(fixture.scratch.path)/\(name)", &status) == 0 else { throw SystemError.last }
                    return status.st_uid
                })
        }
        #expect(try owners() == [0])
        for round in 1...3 {
            let state = try open(61_201)
            #expect(state.firstCounterFloor == first.lowerBound + UInt64(round) * KeyState.step)
            #expect(try owners() == [61_201])
            try state.record(highestReceived: UInt64(round))
            state.close()
        }
        // Others' remain others', and a name that somebody else gave the file makes it doubtful.
        #expect(throws: KeyStateError.self) { try open(61_202) }
        let path = "\(fixture.scratch.path)/\(fixture.file)"
        #expect(unsafe link(path, path + ".too") == 0)
        #expect(throws: KeyStateError.damaged(path: path, what: "it has another name, too")) { try open(61_201) }
    }

    @Test("something else in the file's place")
    func notAFile() throws {
        _ = try fixture.restart()
        let path = "\(fixture.scratch.path)/\(fixture.file)"
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(outcome() == .damaged(path: path, what: "it is no regular file"))
        try FileManager.default.removeItem(atPath: path)
        try fixture.scratch.write([], to: "elsewhere")
        try FileManager.default.createSymbolicLink(
            atPath: path, withDestinationPath: "\(fixture.scratch.path)/elsewhere")
        guard case .refused(operation: "open", path: path, _) = outcome() else {
            Issue.record("a symbolic link was followed")
            return
        }
    }

    @Test("a folder that can't be made")
    func noFolder() throws {
        let lost = "\(fixture.scratch.path)/a/b"
        let expected = KeyStateError.refused(
            operation: "make the folder", path: lost, reason: "No such file or directory")
        #expect(throws: expected) {
            try KeyState.open(
                directory: lost, sendKey: fixture.send, receiveKey: fixture.receive, epoch: 1,
                machine: KeyStateFixture.machine)
        }
        #expect("\(expected)".contains("needs a StateDirectory") || "\(expected)".contains("need a StateDirectory"))
        try fixture.scratch.write([], to: "state")
        guard case .refused = outcome() else {
            Issue.record("a file was taken for the folder")
            return
        }
    }

    @Test("a mark that can't be written makes nothing usable, and the next try may")
    func writeFailure() throws {
        let state = try fixture.open()
        // A folder in the temporary file's place stands for a disk that is full.
        let obstacle = "\(fixture.directory)/\(fixture.name).new"
        try FileManager.default.createDirectory(atPath: obstacle, withIntermediateDirectories: false)
        #expect(throws: KeyStateError.self) { try state.advance(past: KeyState.step - 1) }
        #expect(throws: KeyStateError.self) { try state.record(highestReceived: 9) }
        #expect(state.counterLimit == KeyState.step)
        try FileManager.default.removeItem(atPath: obstacle)
        #expect(try state.advance(past: KeyState.step - 1) == 2 * KeyState.step)
        state.close()
        try FileManager.default.createDirectory(atPath: obstacle, withIntermediateDirectories: false)
        guard case .refused(operation: "write", path: obstacle, _) = outcome() else {
            Issue.record("the state was opened without a mark")
            return
        }
    }

    @Test("opening that fails leaves no descriptor behind")
    func descriptors() throws {
        func count() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
        let state = try fixture.open()
        let before = try count()
        for _ in 0..<300 {
            #expect(throws: KeyStateError.self) { try fixture.open() }
        }
        state.close()
        try fixture.scratch.write([], to: fixture.file)
        for _ in 0..<300 {
            #expect(isDamaged)
        }
        // Other tests open files at the same time, though not hundreds.
        #expect(try count() < before + 100)
    }

    @Test("what a crash leaves beside the file, or before it was ever written")
    func leftovers() throws {
        try FileManager.default.createDirectory(
            atPath: fixture.directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try fixture.scratch.write(Array("half a rec".utf8), to: "state/\(fixture.name).new", mode: 0o000)
        #expect(try fixture.restart().lowerBound == 0)
        try fixture.scratch.write(Array("half a rec".utf8), to: "state/\(fixture.name).new", mode: 0o666)
        #expect(try fixture.restart().lowerBound == KeyState.step)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: fixture.directory).sorted()
                == ["\(fixture.name).lock", "\(fixture.name).state"])
    }
}
