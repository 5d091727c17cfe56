// SPDX-License-Identifier: Apache-2.0
import CWeftCapability
import CWeftLinux
import Glibc

/// What a thread may do that an ordinary user's may not, and how that ends for good.
enum Capabilities {
    /// Whether the calling thread has one, and in effect.
    static func has(_ capability: cap_value_t) -> Bool { isSet(capability, in: CAP_EFFECTIVE) }

    /// Keeps these, as far as the thread has them, and no others in any set; nothing brings one back, not even `execve`.
    ///
    /// Without CAP_SETPCAP the bounding set and the secure bits stay as they are; `no_new_privs` then has to do.
    static func keep(_ wanted: [cap_value_t]) throws(SandboxError) {
        let kept = wanted.filter { isSet($0, in: CAP_PERMITTED) }
        if isSet(CAP_SETPCAP, in: CAP_PERMITTED) {
            try set(kept + [CAP_SETPCAP])
            try emptyBoundingSet()
            guard cap_set_secbits(lockedBits) == 0 else { throw SandboxError("lock the secure bits", code: errno) }
        }
        try set(kept)
        // There is none that isn't inheritable and permitted; kernels without ambient capabilities have no such set.
        if cap_reset_ambient() != 0, errno != EINVAL { throw SandboxError("clear ambient capabilities", code: errno) }
    }

    /// The user 0 is nobody special, a change of user neither gives nor takes, and none becomes ambient.
    private static let lockedBits = [
        SECURE_NOROOT, SECURE_NOROOT_LOCKED, SECURE_NO_SETUID_FIXUP, SECURE_NO_SETUID_FIXUP_LOCKED,
        SECURE_KEEP_CAPS_LOCKED, SECURE_NO_CAP_AMBIENT_RAISE, SECURE_NO_CAP_AMBIENT_RAISE_LOCKED,
    ].reduce(UInt32(0)) { $0 | 1 << UInt32($1) }

    private static func emptyBoundingSet() throws(SandboxError) {
        // The kernel's list may be longer than that of the header which this was built with, or shorter.
        for capability in 0..<cap_value_t(64) where cap_get_bound(capability) == 1 {
            guard cap_drop_bound(capability) == 0 else {
                throw SandboxError("empty the capabilities' bounding set", code: errno)
            }
        }
    }

    /// Makes exactly these permitted and effective, and none inheritable.
    private static func set(_ list: [cap_value_t]) throws(SandboxError) {
        let failure = { SandboxError("drop capabilities", code: errno) }
        guard let capabilities = unsafe cap_init() else { throw failure() }
        defer { unsafe cap_free(UnsafeMutableRawPointer(capabilities)) }
        for kind in [CAP_PERMITTED, CAP_EFFECTIVE] where !list.isEmpty {
            guard unsafe cap_set_flag(capabilities, kind, Int32(list.count), list, CAP_SET) == 0 else {
                throw failure()
            }
        }
        guard unsafe cap_set_proc(capabilities) == 0 else { throw failure() }
    }

    private static func isSet(_ capability: cap_value_t, in kind: cap_flag_t) -> Bool {
        guard let capabilities = unsafe cap_get_proc() else { return false }
        defer { unsafe cap_free(UnsafeMutableRawPointer(capabilities)) }
        var flag = CAP_CLEAR
        return unsafe cap_get_flag(capabilities, capability, kind, &flag) == 0 && flag == CAP_SET
    }
}
