// SPDX-License-Identifier: Apache-2.0
import CWeftCapability
import CWeftLinux
import Glibc
import Weft

/// Confines a process to what its role takes: its user, its capabilities, its system calls. There is no way back.
///
/// Capabilities are a thread's, so it is entered before there is a second one; the system calls are filtered in all.
public enum Sandbox {
    /// Confines the calling process.
    ///
    /// In this order: user and groups, capabilities with the bounding set and the secure bits, `no_new_privs`, no core dumps and
    /// nobody of the same user who looks into the memory, system calls.
    ///
    /// - Parameters:
    ///   - role: what the process is for.
    ///   - user: whom it goes on as. Who isn't root stays who he is; so does root where the kernel knows no such user, as in a
    ///     user namespace with one user.
    /// - Returns: whether the process goes on as `user`.
    /// - Throws: what the kernel refused. The process must end then: nothing can be said of what is left.
    @discardableResult
    public static func enter(_ role: ProcessRole, as user: ProcessUser = .current) throws(SandboxError) -> Bool {
        let filter = try role.filter()
        let changed = try change(to: user)
        try Capabilities.keep(role.capabilities)
        guard cap_prctl(Int(PR_SET_NO_NEW_PRIVS), 1, 0, 0, 0, 0) == 0 else {
            throw SandboxError("give up new privileges", code: errno)
        }
        guard weft_forbid_dumps() == 0 else { throw SandboxError("keep the memory to itself", code: errno) }
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none) == 0 else {
            throw SandboxError("forbid core dumps", code: errno)
        }
        guard weft_refuse_trapped_calls() == 0 else { throw SandboxError("handle refused calls", code: errno) }
        try filter.load()
        return changed
    }

    /// Becomes another user with one group; the permitted capabilities stay. False where that can't be.
    private static func change(to user: ProcessUser) throws(SandboxError) -> Bool {
        let now = ProcessUser.current
        guard user != now else { return true }
        guard now.user == 0 else { return false }
        guard cap_prctl(Int(PR_SET_KEEPCAPS), 1, 0, 0, 0, 0) == 0 else {
            throw SandboxError("keep capabilities", code: errno)
        }
        var group = user.group
        // EINVAL: the user namespace has no such user or group. EPERM: it allows no other groups, or the capability is missing.
        guard unsafe weft_set_groups(&group) == 0, weft_set_group(user.group) == 0 else { return false }
        guard weft_set_user(user.user) == 0 else {
            _ = weft_set_group(now.group)
            return false
        }
        return true
    }
}
