// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import WeftTestSupport

@testable import WeftControl

/// A folder of its own for each test, gone with it.
final class KeyFileTests {
    private let folder: String
    private var path: String { folder + "/identity.pem" }

    init() throws {
        folder = NSTemporaryDirectory() + "/weft-key-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    private func setMode(_ mode: Int) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    private func publicKey(at path: String) throws(KeyFileError) -> PublicKey {
        try Identity(contentsOf: path).publicKey
    }

    @Test func writesForTheOwnerOnlyAndReadsAgain() throws {
        let identity = try Identity.generate()
        let written = identity.publicKey
        try identity.write(to: path)
        #expect(try mode(path) == 0o600)
        #expect(try publicKey(at: path) == written)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(identity.pem().exposed))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["identity.pem"])
    }

    @Test func replacesOnlyWhenForced() throws {
        let first = try Identity.generate()
        try first.write(to: path)
        let second = try Identity.generate()
        #expect(throws: KeyFileError.exists(path: path)) { try second.write(to: path) }
        #expect(try publicKey(at: path) == first.publicKey)
        // Looser permissions of the old file aren't inherited.
        try setMode(0o644)
        try second.write(to: path, force: true)
        #expect(try mode(path) == 0o600)
        #expect(try publicKey(at: path) == second.publicKey)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["identity.pem"])
    }

    @Test func doesNotFollowADanglingLink() throws {
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: folder + "/elsewhere")
        #expect(throws: KeyFileError.exists(path: path)) { try Identity.generate().write(to: path) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["identity.pem"])
    }

    @Test func leavesNothingBehindWhenItCannotReplace() throws {
        // A folder can't be replaced by a file.
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(throws: KeyFileError.system(operation: "replace", path: path, errno: EISDIR)) {
            try Identity.generate().write(to: path, force: true)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["identity.pem"])
    }

    @Test(arguments: [0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o601, 0o777])
    func refusesWhatOthersMayUse(_ mode: Int) throws {
        try Identity.generate().write(to: path)
        try setMode(mode)
        let error = #expect(throws: KeyFileError.self) { try publicKey(at: path) }
        #expect(error == .exposed(path: path, mode: UInt32(mode)))
        #expect(error?.description.hasSuffix("(mode 0\(String(mode, radix: 8))): run chmod 600 \(path)") == true)
    }

    @Test(arguments: [0o600, 0o400, 0o700])
    func readsWhatOnlyTheOwnerMayUse(_ mode: Int) throws {
        try Identity.generate().write(to: path)
        try setMode(mode)
        _ = try publicKey(at: path)
    }

    @Test func refusesWhatIsNoRegularFile() {
        #expect(throws: KeyFileError.notRegular(path: folder)) { try publicKey(at: folder) }
        #expect(throws: KeyFileError.notRegular(path: "/dev/null")) { try publicKey(at: "/dev/null") }
        let pipe = path
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        #expect(throws: KeyFileError.notRegular(path: pipe)) { try publicKey(at: pipe) }
    }

    @Test func saysWhatIsWrongWithTheFile() throws {
        let missing = KeyFileError.system(operation: "open", path: path, errno: ENOENT)
        #expect(throws: missing) { try publicKey(at: path) }
        #expect(missing.description == "cannot open \(path): No such file or directory: check the path")
        for (content, error) in [
            ("", KeyFileError.identity(path: path, .notPEM)),
            ("not a key\n", .identity(path: path, .notPEM)),
            (String(repeating: "x", count: Identity.maximumKeyFileByteCount), .identity(path: path, .notPEM)),
            (String(repeating: "x", count: Identity.maximumKeyFileByteCount + 1), .tooLarge(path: path)),
        ] {
            try content.write(toFile: path, atomically: true, encoding: .utf8)
            try setMode(0o600)
            #expect(throws: error) { try publicKey(at: path) }
        }
    }

    @Test func saysWhereItCannotWrite() throws {
        let elsewhere = folder + "/missing/identity.pem"
        #expect(throws: KeyFileError.system(operation: "create", path: elsewhere, errno: ENOENT)) {
            try Identity.generate().write(to: elsewhere)
        }
    }
}
