// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// One transmit key's files in the state folder, locked for as long as this lives.
struct KeyStateFolder: ~Copyable {
    /// The folder's path.
    private let path: String
    /// The transmit key's fingerprint: the state file's name without its ending.
    private let key: KeyFingerprint
    private let folder: FileDescriptor
    private let lock: FileDescriptor
    private let owner: FileOwner?

    /// Makes the folder if need be, and takes the key's lock.
    /// - Parameter owner: whom all of it goes to; nil for the caller.
    init(path: String, key: KeyFingerprint, owner: FileOwner?) throws(KeyStateError) {
        let folder = try Self.openFolder(path, owner)
        let lock = try Self.takeLock(key, in: folder, path, owner)
        self.path = path
        self.owner = owner
        self.key = key
        self.folder = folder
        self.lock = lock
    }

    deinit {
        // Not left to closing: a child of this process that is just being started may hold a copy of the descriptor.
        lock.unlock()
    }

    /// The state file's whole path, for messages.
    var statePath: String { "\(path)/\(stateName)" }

    private var stateName: String { "\(key).state" }

    /// What the state file says; nil if there is none, so that the key has never been used with this folder.
    func read() throws(KeyStateError) -> KeyStateRecord? {
        let found = try Self.attempt("open", statePath) { () throws(SystemError) -> FileDescriptor? in
            do throws(SystemError) {
                return try folder.open(stateName, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            } catch {
                if error.code == ENOENT { return nil }
                throw error
            }
        }
        guard let file = found else { return nil }
        try Self.checkFile(file, statePath, owner)
        let content = try Self.attempt("read", statePath) { () throws(SystemError) in
            try file.read(limit: KeyStateRecord.maximumSize + 1)
        }
        do throws(KeyStateRecord.Flaw) {
            return try KeyStateRecord(content, name: stateName)
        } catch {
            throw .damaged(path: statePath, what: error.what)
        }
    }

    /// Puts a record in the state file's place. It is on the disk when this returns; if this throws, either the old
    /// record is or the new one.
    func write(_ record: KeyStateRecord) throws(KeyStateError) {
        guard let bytes = record.encoded(name: stateName) else { throw .noDigest }
        let temporary = "\(key).new"
        try Self.attempt("write", "\(path)/\(temporary)") { () throws(SystemError) in
            // One may be left of a process that was killed; the lock says that nobody is writing it.
            do throws(SystemError) { try folder.remove(temporary) } catch {
                if error.code != ENOENT { throw error }
            }
            let file = try folder.open(temporary, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            // The umask may have taken more away.
            try file.setMode(0o600)
            try file.hand(to: owner)
            try file.write(bytes)
            try file.synchronize()
        }
        try Self.attempt("replace", statePath) { () throws(SystemError) in
            try folder.rename(temporary, to: stateName)
            try folder.synchronize()
        }
    }

    private static func openFolder(_ path: String, _ owner: FileOwner?) throws(KeyStateError) -> FileDescriptor {
        // Only the last part is made: were its parent missing, a file system could be that isn't mounted yet, and an
        // empty folder in its place would look like keys that were never used.
        // The kernel only reads the path, which lives as long as the call.
        let made = unsafe mkdir(path, 0o700) == 0
        if !made, errno != EEXIST { throw refused("make the folder", path, .last) }
        let folder = try attempt("open the folder", path) { () throws(SystemError) in
            try FileDescriptor(path: path, flags: O_RDONLY | O_DIRECTORY)
        }
        if made {
            try attempt("set the mode of", path) { () throws(SystemError) in try folder.setMode(0o700) }
        }
        let status = try attempt("look at", path) { () throws(SystemError) in try folder.status() }
        try checkOwner(status, path, owner)
        guard status.st_mode & 0o077 == 0 else {
            throw .notOurs(
                path: path, wrong: "others have access to this folder of key states", remedy: "chmod 700 \(path)")
        }
        try attempt("hand over", path) { () throws(SystemError) in try folder.hand(to: owner) }
        // The folder's own name must survive a power cut as well, and an earlier start may have died before this step.
        try attempt("synchronise the parent of", path) { () throws(SystemError) in
            let parent = try folder.open("..", flags: O_RDONLY | O_DIRECTORY)
            do throws(SystemError) { try parent.synchronize() } catch {
                // Nothing can be pending on a file system that is read-only or keeps nothing.
                if error.code != EROFS, error.code != EINVAL { throw error }
            }
        }
        return folder
    }

    private static func takeLock(
        _ key: KeyFingerprint, in folder: borrowing FileDescriptor, _ folderPath: String, _ owner: FileOwner?
    ) throws(KeyStateError) -> FileDescriptor {
        // The lock has a file of its own, as the state file is replaced at each write. It is never removed: another
        // process may have opened it already, and would then lock a file that nobody else finds.
        let path = "\(folderPath)/\(key).lock"
        let lock = try attempt("open", path) { () throws(SystemError) in
            try folder.open("\(key).lock", flags: O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
        }
        try checkFile(lock, path, owner)
        guard try attempt("lock", path, { () throws(SystemError) in try lock.lock() }) else {
            throw .inUse(key: key.short, lock: path, process: holder(of: lock))
        }
        try attempt("write", path) { () throws(SystemError) in
            try lock.hand(to: owner)
            try lock.truncate()
            try lock.write(Array("\(getpid())\n".utf8))
        }
        return lock
    }

    /// The process that a lock file names, for the message only.
    private static func holder(of lock: borrowing FileDescriptor) -> Int? {
        guard let content = try? lock.read(limit: 32) else { return nil }
        let text = String(decoding: content, as: UTF8.self)
        return text.split(separator: "\n").first.flatMap { Int($0) }
    }

    /// Only a file that nobody else can have touched is believed.
    private static func checkFile(
        _ file: borrowing FileDescriptor, _ path: String, _ owner: FileOwner?
    ) throws(KeyStateError) {
        let status = try attempt("look at", path) { () throws(SystemError) in try file.status() }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .damaged(path: path, what: "it is no regular file")
        }
        try checkOwner(status, path, owner)
        // Another name could be somebody else's, who had it put here for us to write to.
        guard status.st_nlink == 1 else { throw .damaged(path: path, what: "it has another name, too") }
        guard status.st_mode & 0o7777 == 0o600 else {
            let mode = String(status.st_mode & 0o7777, radix: 8)
            throw .notOurs(path: path, wrong: "has mode \(mode) rather than 600", remedy: "chmod 600 \(path)")
        }
    }

    private static func checkOwner(_ status: stat, _ path: String, _ owner: FileOwner?) throws(KeyStateError) {
        let own = geteuid()
        guard status.st_uid == own || owner?.isTrusted(status.st_uid) == true else {
            throw .notOurs(
                path: path, wrong: "belongs to user \(status.st_uid) rather than \(own)", remedy: "chown \(own) \(path)"
            )
        }
    }

    private static func attempt<Result: ~Copyable>(
        _ operation: String, _ path: String, _ body: () throws(SystemError) -> Result
    ) throws(KeyStateError) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            throw refused(operation, path, error)
        }
    }

    private static func refused(_ operation: String, _ path: String, _ error: SystemError) -> KeyStateError {
        .refused(operation: operation, path: path, reason: error.description)
    }
}
