// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Whose files are believed: those that nobody but root and one or two users more can have written.
///
/// What a file says decides who is let in, and whoever can put another in its place decides that, too. So the file, each folder up to
/// the root, and each link on the way must belong to one of them, and none but links may be writable by group or others; write access by
/// an access control list shows in the group's bits. A folder like /tmp, which all can write, passes for its sticky bit: only an entry's
/// owner, who is judged like all others, can rename or remove it.
///
/// Root may also name what lies in a user's own private folder: one that belongs to that user, gives nobody else any access, and
/// stands where others can't make another. Nobody but that user and root can have put anything there.
public struct FileTrust: Hashable, Sendable {
    /// The users whose files are believed.
    public let owners: Set<uid_t>
    /// Whether what lies in a user's own private folder is believed, if it belongs to that user.
    let believesPrivateFolders: Bool
    /// The number by which the kernel shows all users whom this user namespace has none for; nil where it has one for each.
    let unmapped: uid_t?

    init(owners: Set<uid_t>, believesPrivateFolders: Bool = false, unmapped: uid_t?) {
        self.owners = owners
        self.believesPrivateFolders = believesPrivateFolders
        self.unmapped = unmapped
    }

    /// - Parameter owners: the users whose files are believed; root's are believed if 0 is among them.
    public init(owners: Set<uid_t>) { self.init(owners: owners, unmapped: UserNamespace.unmappedUser) }

    /// Root's files are believed, and this user's own; for root, also those in other users' private folders.
    public init(of user: uid_t) {
        self.init(owners: [0, user], believesPrivateFolders: user == 0, unmapped: UserNamespace.unmappedUser)
    }

    /// That of whoever runs this process.
    public static var caller: FileTrust { FileTrust(of: geteuid()) }

    /// What a descriptor says of its file.
    public struct Status: Hashable, Sendable {
        /// The permission bits.
        public let mode: UInt32
        /// Bytes, at least 0.
        public let size: Int
    }

    /// Judges an open file by its descriptor alone; whoever opened it has to have judged the way, and with it the owner where that
    /// depends on the folder.
    ///
    /// - Parameter path: how errors call it.
    public func judge(_ descriptor: Int32, called path: String) throws(FileRefusal) -> Status {
        let status = try Self.status(of: descriptor, path)
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular(path: path) }
        try judge(status, .file, path, host: believesPrivateFolders && status.st_uid != unmapped ? status.st_uid : nil)
        return Status(mode: status.st_mode & 0o7777, size: max(0, Int(status.st_size)))
    }

    /// - Parameters:
    ///   - host: the user whose private folder this lies in, or is.
    ///   - anchor: whether unmapped owners pass, see ``PathWalk``.
    func judge(
        _ status: stat, _ kind: FileRefusal.Kind, _ path: String, host: uid_t?, anchor: Bool = false
    ) throws(FileRefusal) {
        if !owners.contains(status.st_uid), status.st_uid != host {
            guard status.st_uid == unmapped else { throw .foreign(path: path, kind, owner: status.st_uid) }
            if !anchor { throw .unmapped(path: path, kind, shown: status.st_uid) }
        }
        // A link has no permissions of its own.
        guard kind != .link, status.st_mode & (S_IWGRP | S_IWOTH) != 0 else { return }
        if kind == .folder, status.st_mode & S_ISVTX != 0 { return }
        throw .writable(path: path, kind, mode: status.st_mode & 0o7777)
    }

    static func status(of descriptor: Int32, _ path: String) throws(FileRefusal) -> stat {
        var status = stat()
        // The kernel fills a structure that outlives the call.
        guard unsafe fstat(descriptor, &status) == 0 else {
            throw .system(operation: "look at", path: path, errno: errno)
        }
        return status
    }
}
