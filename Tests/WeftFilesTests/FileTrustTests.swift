// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

@testable import WeftFiles

@Suite("Files that are believed")
struct FileTrustTests {
    private let folder: ScratchFolder
    private static let isRoot = geteuid() == 0
    private static let stranger: uid_t = 4242

    init() throws { folder = try ScratchFolder() }

    @Test("one that its owner alone can change", arguments: [0o600, 0o400, 0o644, 0o755, 0o604] as [mode_t])
    func good(_ mode: mode_t) throws {
        #expect(refusal(try folder.write("x", to: "file", mode: mode)) == nil)
    }

    @Test("none that group or others can change", arguments: [0o620, 0o602, 0o666, 0o660, 0o777] as [mode_t])
    func writable(_ mode: mode_t) throws {
        let path = try folder.write("x", to: "file", mode: mode)
        #expect(refusal(path) == .writable(path: path, .file, mode: mode))
    }

    @Test("none in a folder that they can change, at any height", arguments: [0o720, 0o702, 0o777] as [mode_t])
    func writableFolder(_ mode: mode_t) throws {
        let path = try folder.write("x", to: "a/b/c/file")
        for place in ["a", "a/b", "a/b/c"] {
            folder.set(mode, of: place)
            let place = "\(folder.path)/\(place)"
            #expect(refusal(path) == .writable(path: place, .folder, mode: mode))
            #expect(unsafe chmod(place, 0o700) == 0)
        }
        #expect(refusal(path) == nil)
    }

    @Test("a folder's sticky bit is enough where the entry is root's or the caller's")
    func sticky() throws {
        let path = try folder.write("x", to: "a/file")
        folder.set(0o1777, of: "a")
        #expect(refusal(path) == nil)
        folder.link("a/link", to: "file")
        #expect(refusal("\(folder.path)/a/link") == nil)
    }

    @Test("nothing in a sticky folder that is somebody else's", .enabled(if: isRoot))
    func stickyStranger() throws {
        let path = try folder.write("x", to: "a/file", owner: Self.stranger)
        folder.set(0o1777, of: "a")
        #expect(refusal(path) == .foreign(path: path, .file, owner: Self.stranger))
        try folder.write("x", to: "a/own")
        folder.link("a/link", to: "own", owner: Self.stranger)
        let link = "\(folder.path)/a/link"
        #expect(refusal(link) == .foreign(path: link, .link, owner: Self.stranger))
        let below = try folder.write("x", to: "a/b/file")
        folder.set(0o755, Self.stranger, of: "a/b")
        #expect(refusal(below) == .foreign(path: "\(folder.path)/a/b", .folder, owner: Self.stranger))
    }

    @Test("neither a stranger's file nor one in a stranger's folder", .enabled(if: isRoot))
    func strangers() throws {
        let path = try folder.write("x", to: "a/b/file", owner: Self.stranger)
        #expect(refusal(path) == .foreign(path: path, .file, owner: Self.stranger))
        #expect(refusal(path, FileTrust(owners: [0, Self.stranger])) == nil)
        folder.set(0o600, 0, of: "a/b/file")
        folder.set(0o711, Self.stranger, of: "a")
        #expect(refusal(path) == .foreign(path: "\(folder.path)/a", .folder, owner: Self.stranger))
        // Nor is root's believed where only somebody else's is.
        #expect(refusal(path, FileTrust(owners: [Self.stranger])) == .foreign(path: "/", .folder, owner: 0))
    }

    @Test("for root: what lies in a user's own private folder, if it is that user's", .enabled(if: isRoot))
    func privateFolders() throws {
        let other = Self.stranger + 1
        let path = try folder.write("x", to: "a/b/file", owner: Self.stranger)
        folder.set(0o700, Self.stranger, of: "a")
        #expect(refusal(path) == nil)
        #expect(refusal("\(folder.path)/a/b/../b/./file") == nil)
        #expect(refusal(path, FileTrust(of: Self.stranger)) == nil)
        // The same for who isn't root: only his own.
        #expect(
            refusal(path, FileTrust(of: other)) == .foreign(path: "\(folder.path)/a", .folder, owner: Self.stranger))
        folder.link("a/link", to: "b/file", owner: Self.stranger)
        #expect(refusal("\(folder.path)/a/link") == nil)
        // What is somebody else's in there, or can be written by somebody else, isn't believed.
        folder.set(0o600, other, of: "a/b/file")
        #expect(refusal(path) == .foreign(path: path, .file, owner: other))
        folder.set(0o620, Self.stranger, of: "a/b/file")
        #expect(refusal(path) == .writable(path: path, .file, mode: 0o620))
        folder.set(0o600, of: "a/b/file")
        folder.set(0o777, of: "a/b")
        #expect(refusal(path) == .writable(path: "\(folder.path)/a/b", .folder, mode: 0o777))
        folder.set(0o700, of: "a/b")
        // Out of it again nothing is believed for its sake.
        let outside = try folder.write("x", to: "c/file", owner: Self.stranger)
        let around = "\(folder.path)/a/b/../../c/file"
        #expect(refusal(around) == .foreign(path: around, .file, owner: Self.stranger))
        folder.link("a/out", to: outside, owner: Self.stranger)
        let out = "\(folder.path)/a/out"
        #expect(refusal(out) == .foreign(path: out, .file, owner: Self.stranger))
        // Where others can make folders, anybody could have made this one.
        folder.set(0o1777, of: ".")
        #expect(refusal(path) == .foreign(path: "\(folder.path)/a", .folder, owner: Self.stranger))
    }

    @Test("a link is judged, and so is the way to what it means")
    func links() throws {
        let target = try folder.write("x", to: "there/deep/file")
        try folder.write("x", to: "here/other")
        for (name, to) in [
            ("absolute", target), ("relative", "../there/deep/file"), ("up", "./../there//deep/../deep/./file"),
            ("chain", "relative"),
        ] {
            folder.link("here/\(name)", to: to)
        }
        for name in ["absolute", "relative", "up", "chain"] { #expect(refusal("\(folder.path)/here/\(name)") == nil) }
        folder.link("folder", to: "there/deep")
        #expect(refusal("\(folder.path)/folder/file") == nil)
        folder.set(0o777, of: "there")
        for path in ["here/absolute", "here/relative", "here/up", "here/chain", "folder/file"] {
            #expect(refusal("\(folder.path)/\(path)") == .writable(path: "\(folder.path)/there", .folder, mode: 0o777))
        }
    }

    @Test("as many links as the kernel follows, and no more")
    func manyLinks() throws {
        try folder.write("x", to: "0")
        for number in 1...41 { folder.link("\(number)", to: "\(number - 1)") }
        #expect(refusal("\(folder.path)/40") == nil)
        let tooMany = "\(folder.path)/41"
        #expect(refusal(tooMany) == .system(operation: "open", path: tooMany, errno: ELOOP))
        folder.link("loop", to: "loop")
        let loop = "\(folder.path)/loop"
        #expect(refusal(loop) == .system(operation: "open", path: loop, errno: ELOOP))
    }

    @Test("what is no file is never opened")
    func otherKinds() throws {
        #expect(unsafe mkfifo(folder.path + "/pipe", 0o600) == 0)
        for path in [
            "\(folder.path)/pipe", folder.path, "\(folder.path)/", "/", "/dev/null", "/dev/zero", "\(folder.path)/.",
        ] {
            #expect(refusal(path) == .notRegular(path: path))
        }
        let file = try folder.write("x", to: "file")
        #expect(refusal("\(file)/") == .system(operation: "open", path: "\(file)/", errno: ENOTDIR))
        #expect(refusal("\(file)/more") == .system(operation: "open", path: "\(file)/more", errno: ENOTDIR))
        #expect(refusal("") == .system(operation: "open", path: "", errno: ENOENT))
        let none = "\(folder.path)/none"
        #expect(refusal(none) == .system(operation: "open", path: none, errno: ENOENT))
    }

    @Test("users whom a container doesn't know are nobody's caller, and have words of their own", .enabled(if: isRoot))
    func unmapped() throws {
        let trust = FileTrust(owners: [0], unmapped: Self.stranger)
        let path = try folder.write("x", to: "a/file", owner: Self.stranger)
        #expect(refusal(path, trust) == .unmapped(path: path, .file, shown: Self.stranger))
        #expect("\(try #require(refusal(path, trust)))".contains("user namespace"))
        folder.set(0o600, 0, of: "a/file")
        folder.set(0o700, Self.stranger, of: "a")
        #expect(
            refusal(path, FileTrust(owners: [0], believesPrivateFolders: true, unmapped: Self.stranger))
                == .unmapped(path: "\(folder.path)/a", .folder, shown: Self.stranger))
        // The root folder is root's, so that there is no reason to take them for its owner.
        #expect(refusal(path, trust) == .unmapped(path: "\(folder.path)/a", .folder, shown: Self.stranger))
    }

    @Test("what a namespace's map leaves out")
    func maps() {
        #expect(UserNamespace.mapsAll("         0          0 4294967295\n"))
        #expect(UserNamespace.mapsAll(""))
        #expect(!UserNamespace.mapsAll("         0       1000          1\n"))
        #expect(!UserNamespace.mapsAll("0 1000 1\n1 100000 65536\n"))
    }

    @Test("is read as it was looked at, or not at all")
    func contents() throws {
        let path = try folder.write("abcdef", to: "file")
        let file = try FileTrust.caller.open(path)
        func read(_ count: Int) throws -> String {
            var bytes = [UInt8](repeating: 0, count: count)
            var span = bytes.mutableSpan
            try FileContents.read(file.raw, into: &span, called: path)
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(try read(6) == "abcdef")
        #expect(throws: FileRefusal.changing(path: path)) { try read(5) }
        #expect(throws: FileRefusal.changing(path: path)) { try read(7) }
        #expect(throws: FileRefusal.changing(path: path)) { try read(0) }
    }
}
