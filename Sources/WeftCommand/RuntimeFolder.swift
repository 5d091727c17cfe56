// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftFiles

/// Where running tunnels are found.
package enum RuntimeFolder {
    package static var path: String {
        if let named = unsafe getenv("WEFT_RUNTIME_DIRECTORY") { return unsafe String(cString: named) }
        return own ?? system
    }

    /// Root's, and that of services which have it for their own.
    private static let system = "/run/weft"

    /// Whether it is the system's, or one that the caller named.
    package static var isRoots: Bool { own == nil }

    /// That of whoever isn't root; nil where the system's is the one.
    private static var own: String? {
        guard unsafe getenv("WEFT_RUNTIME_DIRECTORY") == nil, !UserFolders.isOurs(system) else { return nil }
        return UserFolders.runtime
    }

    package static func socket(of name: String) -> String { "\(path)/\(name).sock" }

    /// Makes the folder, for its owner alone.
    package static func make() throws(CommandFailure) {
        if let own {
            guard UserFolders.make(own) else {
                throw CommandFailure(
                    .failed,
                    "cannot make \(own): \(SystemCall.message(errno)); set XDG_RUNTIME_DIR to a folder of yours")
            }
            return
        }
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw CommandFailure(.failed, "cannot make \(path): \(SystemCall.message(errno))")
        }
    }

    /// Makes the folder for a user whom this process is to go on as, or hands it over to him: as root's it would keep him from making
    /// his socket there, and from taking it away.
    package static func make(for user: uid_t, _ group: gid_t) throws(CommandFailure) {
        try make()
        let raw = unsafe open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard raw >= 0 else { throw CommandFailure(.failed, "cannot open \(path): \(SystemCall.message(errno))") }
        let folder = FileDescriptor(owning: raw)
        var status = stat()
        // Only root's own: who else has a folder there meant it so. Where it can't be, the process can't become that user either.
        guard unsafe fstat(folder.raw, &status) == 0, status.st_uid == 0, geteuid() == 0 else { return }
        _ = fchown(folder.raw, user, group)
    }

    /// Who isn't root would find nothing in root's folder, whatever is up, and is told so.
    /// - Parameter name: the tunnel that is asked for; nil for any. One of the caller's own is his to look at.
    package static func checkAccess(to name: String? = nil) throws(CommandFailure) {
        let folder = own == nil ? path : system
        if own != nil, name.map({ unsafe access(socket(of: $0), F_OK) == 0 }) ?? !names().isEmpty { return }
        guard unsafe access(folder, R_OK | X_OK) != 0, errno == EACCES || errno == EPERM else { return }
        let none = own == nil ? "" : "none of yours is up; "
        throw CommandFailure(
            .failed, "\(none)cannot look into \(folder): permission denied: tunnels there are root's, so run as root")
    }

    /// The tunnels that have a socket there, up or not.
    package static func names() -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: unsafe bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".sock") { names.append(String(name.dropLast(5))) }
        }
        return names.sorted()
    }
}
