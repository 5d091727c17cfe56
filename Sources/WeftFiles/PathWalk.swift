// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// The way to a file, folder by folder from the root, each reached through the descriptor of the one before: what was judged is what is
/// walked through, whatever its name comes to mean meanwhile.
struct PathWalk: ~Copyable {
    /// As many links as the kernel follows (path_resolution(7)).
    private static let mostLinks = 40
    /// O_PATH, under the name that it has without feature macros: for looking at something and going on from it, without opening it.
    private static let pathOnly = __O_PATH

    private let trust: FileTrust
    /// How messages call the file.
    private let name: String
    private var folder: FileDescriptor
    /// Where `folder` is, for messages.
    private var place = "/"
    /// What comes next, the nearest last.
    private var rest: [Substring]
    private var links = 0
    /// For each folder from the root to `folder`, the user whose private folder it lies in, or is.
    private var hosts: [uid_t?] = [nil]
    /// Whether others can make entries in `folder`, which is sticky then.
    private var isShared = false
    /// Whether the root folder belongs to somebody whom our user namespace doesn't know, as where a user made that namespace for himself.
    /// Its owner could change every program that runs here, so that he is believed, and folders that are shown as his are taken
    /// for his. A file never is, nor what lies in a folder where others can make entries.
    private var hasUnmappedRoot = false

    private init(_ name: String, _ rest: [Substring], _ trust: FileTrust, root: consuming FileDescriptor) {
        self.trust = trust
        self.name = name
        self.rest = rest
        folder = root
    }

    /// Opens the file at a path, for reading, if it and the way to it are believed.
    static func open(_ path: String, _ trust: FileTrust) throws(FileRefusal) -> FileDescriptor {
        guard path != "" else { throw .system(operation: "open", path: path, errno: ENOENT) }
        let whole = try path.hasPrefix("/") ? path : workingFolder(path) + "/" + path
        var walk = PathWalk(path, parts(whole), trust, root: try openRoot())
        try walk.startAtRoot()
        return try walk.openFile()
    }

    /// Goes to the end, where the file is, and opens it.
    private mutating func openFile() throws(FileRefusal) -> FileDescriptor {
        while let part = rest.popLast() {
            if part == "." { continue }
            if let file = try step(String(part)) { return file }
        }
        throw .notRegular(path: name)
    }

    /// Goes one step; the file if it was the last one.
    private mutating func step(_ part: String) throws(FileRefusal) -> FileDescriptor? {
        let isLast = rest.isEmpty
        let path = place(of: part)
        let next = try Self.openEntry(part, of: folder, isLast ? name : path, Self.pathOnly | O_NOFOLLOW)
        let status = try FileTrust.status(of: next.raw, path)
        switch status.st_mode & S_IFMT {
        case S_IFLNK:
            try judge(status, .link, path, host: host)
            try follow(next.raw, path)
            return nil
        case S_IFDIR:
            try enter(next, path, status, isUp: part == "..")
            return nil
        case S_IFREG where isLast:
            // What isn't a regular file is never opened, since that can wait, or do something.
            let file = try Self.openEntry(part, of: folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
            try judge(FileTrust.status(of: file.raw, name), .file, name, host: host)
            return file
        default:
            if isLast { throw .notRegular(path: name) }
            throw .system(operation: "open", path: name, errno: ENOTDIR)
        }
    }

    /// Where an entry of the folder is. There is no link in `place`, so that what is above it is what stands before its last part.
    private func place(of part: String) -> String {
        if part == ".." {
            return place.lastIndex(of: "/").map { $0 > place.startIndex ? String(place[..<$0]) : "/" } ?? "/"
        }
        return place == "/" ? "/\(part)" : "\(place)/\(part)"
    }

    private var host: uid_t? { hosts.last ?? nil }

    private func judge(_ status: stat, _ kind: FileRefusal.Kind, _ path: String, host: uid_t?) throws(FileRefusal) {
        try trust.judge(status, kind, path, host: host, anchor: kind != .file && hasUnmappedRoot && !isShared)
    }

    private mutating func enter(
        _ next: consuming FileDescriptor, _ path: String, _ status: stat, isUp: Bool
    ) throws(FileRefusal) {
        if !isUp {
            hosts.append(isPrivateFolder(status) ? status.st_uid : host)
        } else if hosts.count > 1 {
            hosts.removeLast()
        }
        try judge(status, .folder, path, host: host)
        isShared = status.st_mode & (S_IWGRP | S_IWOTH) != 0
        folder = next
        place = path
    }

    /// Whether what lies in `folder` is a folder that its owner alone can enter, and that nobody else can have put there.
    private func isPrivateFolder(_ status: stat) -> Bool {
        trust.believesPrivateFolders && !isShared && !trust.owners.contains(status.st_uid)
            && status.st_uid != trust.unmapped && status.st_mode & (S_IRWXG | S_IRWXO) == 0
    }

    private mutating func follow(_ link: Int32, _ path: String) throws(FileRefusal) {
        links += 1
        guard links <= Self.mostLinks else { throw .system(operation: "open", path: name, errno: ELOOP) }
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        // The kernel writes at most into the array; an empty name means the descriptor itself.
        let count = unsafe readlinkat(link, "", &target, target.count)
        guard count > 0 else { throw .system(operation: "follow the link", path: path, errno: errno) }
        let text = String(decoding: target.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        rest += Self.parts(text)
        guard text.hasPrefix("/") else { return }
        folder = try Self.openRoot()
        try startAtRoot()
    }

    private mutating func startAtRoot() throws(FileRefusal) {
        let status = try FileTrust.status(of: folder.raw, "/")
        hasUnmappedRoot = status.st_uid == trust.unmapped
        try trust.judge(status, .folder, "/", host: nil, anchor: true)
        hosts = [nil]
        isShared = status.st_mode & (S_IWGRP | S_IWOTH) != 0
        place = "/"
    }

    /// A path's parts, the nearest last. A slash at its end asks for a folder.
    private static func parts(_ path: String) -> [Substring] {
        let parts = path.split(separator: "/")
        return (path.hasSuffix("/") ? parts + ["."] : parts).reversed()
    }

    private static func workingFolder(_ path: String) throws(FileRefusal) -> String {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        // The kernel writes at most into the array, and a zero at the end.
        let isKnown = unsafe getcwd(&bytes, bytes.count) != nil
        let folder = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // It may lie outside of what the process sees.
        guard isKnown, folder.hasPrefix("/") else {
            throw .system(operation: "find", path: path, errno: isKnown ? ENOENT : errno)
        }
        return folder
    }

    private static func openRoot() throws(FileRefusal) -> FileDescriptor {
        try openEntry("/", at: AT_FDCWD, "/", pathOnly | O_DIRECTORY)
    }

    private static func openEntry(
        _ entry: String, of folder: borrowing FileDescriptor, _ name: String, _ flags: Int32
    ) throws(FileRefusal) -> FileDescriptor {
        try openEntry(entry, at: folder.raw, name, flags)
    }

    private static func openEntry(
        _ entry: String, at folder: Int32, _ name: String, _ flags: Int32
    ) throws(FileRefusal) -> FileDescriptor {
        while true {
            // The kernel only reads the name, which lives as long as the call.
            let raw = unsafe openat(folder, entry, flags | O_CLOEXEC)
            if raw >= 0 { return FileDescriptor(owning: raw) }
            guard errno == EINTR else { throw .system(operation: "open", path: name, errno: errno) }
        }
    }
}
