// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

@testable import WeftFiles

/// A folder that is gone when the test is over.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "weft-files-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    deinit {
        // Nothing is opened again that a test has closed to us: that would follow the test's own links to anywhere.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Makes a file, and all folders on the way; its whole path.
    @discardableResult
    func write(_ text: String, to name: String, mode: mode_t = 0o600, owner: uid_t? = nil) throws -> String {
        let path = "\(path)/\(name)"
        let folder = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        set(mode, owner, of: name)
        return path
    }

    func set(_ mode: mode_t, _ owner: uid_t? = nil, of name: String) {
        if let owner { #expect(unsafe chown("\(path)/\(name)", owner, 0) == 0) }
        #expect(unsafe chmod("\(path)/\(name)", mode) == 0)
    }

    func link(_ name: String, to target: String, owner: uid_t? = nil) {
        #expect(unsafe symlink(target, "\(path)/\(name)") == 0)
        if let owner { #expect(unsafe lchown("\(path)/\(name)", owner, 0) == 0) }
    }
}

/// Whether a file is believed; else why not.
func refusal(_ path: String, _ trust: FileTrust = .caller) -> FileRefusal? {
    do throws(FileRefusal) {
        let file = try trust.open(path)
        _ = try trust.judge(file.raw, called: path)
        return nil
    } catch {
        return error
    }
}
