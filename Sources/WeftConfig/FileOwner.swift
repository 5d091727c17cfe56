// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Whom a file goes to that root makes, or takes over, for a process that goes on as another user.
public struct FileOwner: Hashable, Sendable {
    public let user: uid_t
    public let group: gid_t

    public init(user: uid_t, group: gid_t) {
        self.user = user
        self.group = group
    }

    /// Whether files of that user are as good as the caller's own.
    func isTrusted(_ user: uid_t) -> Bool { geteuid() == 0 && user == self.user }

    /// Hands over a file that was found good; nothing happens where it is his already.
    ///
    /// EINVAL and EPERM are no failures: where the kernel knows no such user, or the capability is missing, the process can't go on as
    /// that user either.
    public func take(_ descriptor: Int32) throws(TransportError) {
        var status = stat()
        // The kernel fills a structure that outlives the call.
        guard unsafe fstat(descriptor, &status) == 0 else { throw TransportError("look at a file", code: errno) }
        guard geteuid() == 0, status.st_uid != user || status.st_gid != group else { return }
        guard fchown(descriptor, user, group) == 0 || errno == EINVAL || errno == EPERM else {
            throw TransportError("hand over a file", code: errno)
        }
    }
}
