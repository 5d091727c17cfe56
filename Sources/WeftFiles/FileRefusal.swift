// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why a file isn't believed, or can't be read, and what to do about it.
public enum FileRefusal: Error, Hashable, Sendable {
    /// What lies on the way to a file.
    public enum Kind: Hashable, Sendable {
        case file, folder, link
    }

    /// It isn't a regular file.
    case notRegular(path: String)
    /// Group or others may write it; these are its permission bits.
    case writable(path: String, Kind, mode: UInt32)
    /// It holds a secret, and group or others have some right to it.
    case readable(path: String, mode: UInt32)
    /// It belongs to a user whose files aren't believed.
    case foreign(path: String, Kind, owner: UInt32)
    /// It belongs to a user whom this user namespace has no number for, so that nobody can say who that is. `shown` is the number that
    /// the kernel gives instead.
    case unmapped(path: String, Kind, shown: UInt32)
    /// It has more bytes than `limit`.
    case tooLarge(path: String, limit: Int)
    /// It became longer or shorter while it was read.
    case changing(path: String)
    /// The system refused `operation` with this errno.
    case system(operation: String, path: String, errno: Int32)

    /// What it is about: the file itself, or a folder or link on the way to it.
    public var path: String {
        switch self {
        case .notRegular(let path), .readable(let path, _), .writable(let path, _, _), .foreign(let path, _, _),
            .unmapped(let path, _, _),
            .tooLarge(let path, _), .changing(let path), .system(_, let path, _):
            path
        }
    }
}

extension FileRefusal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .system(let operation, let path, let errno):
            "cannot \(operation) \(path): \(SystemCall.message(errno))"
        default: "\(path) \(complaint)"
        }
    }

    /// The same, where its path was named already.
    public var complaint: String {
        switch self {
        case .notRegular: "isn't a regular file"
        case .readable(let path, let mode):
            "is open to group or others (mode \(Self.octal(mode))): run chmod 600 \(path)"
        case .writable(let path, .folder, let mode):
            "is a folder that others can write (mode \(Self.octal(mode))), who could put another file in place of this one: "
                + "run chmod go-w \(path)"
        case .writable(let path, _, let mode):
            "can be changed by others (mode \(Self.octal(mode))): run chmod go-w \(path)"
        case .foreign(_, .folder, let owner):
            "is a folder of user \(owner)'s, who is neither root nor the caller and could put another file in place of this one: "
                + "keep the file where only you or root can write"
        case .foreign(let path, .link, let owner):
            "is a link of user \(owner)'s, who is neither root nor the caller: run chown -h root \(path)"
        case .foreign(let path, .file, let owner):
            "belongs to user \(owner), who is neither root nor the caller: run chown root \(path)"
        case .unmapped(_, let kind, let shown):
            "\(Self.noun(kind)) a user whom this container (user namespace) doesn't know and shows as \(shown), so that nobody can say "
                + "whether he is to be believed: copy it to where its owner is known, or have the container map that user"
        case .tooLarge(_, let limit): "has more than \(limit) bytes"
        case .changing: "changes while it is read: try again"
        case .system(let operation, _, let errno): "cannot \(operation) this: \(SystemCall.message(errno))"
        }
    }

    private static func noun(_ kind: Kind) -> String {
        switch kind {
        case .file: "belongs to"
        case .folder: "is a folder of"
        case .link: "is a link of"
        }
    }

    private static func octal(_ mode: UInt32) -> String { "0" + String(mode, radix: 8) }
}
