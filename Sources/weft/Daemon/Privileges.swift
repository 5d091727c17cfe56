// SPDX-License-Identifier: Apache-2.0
import CWeftCapability
import CWeftLinux

/// Gives up what a running tunnel doesn't need.
enum Privileges {
    /// What binding AF_XDP to an interface takes that went and came back.
    static var xdp: [cap_value_t] { [CAP_NET_RAW, cap_value_t(CAP_BPF)] }

    /// Keeps CAP_NET_ADMIN, to take policy rules away at the end and to mark probes, and drops every other capability;
    /// keeps keys out of core dumps. Threads that start later have no more.
    /// - Parameter more: capabilities to keep as well.
    /// - Returns: whether the capabilities are gone; an unprivileged process has none to drop.
    static func drop(keeping more: [cap_value_t] = []) -> Bool {
        _ = weft_forbid_dumps()
        guard let capabilities = unsafe cap_init() else { return false }
        defer { unsafe cap_free(UnsafeMutableRawPointer(capabilities)) }
        var keep: [cap_value_t] = [CAP_NET_ADMIN] + more
        for set in [CAP_PERMITTED, CAP_EFFECTIVE] {
            guard unsafe cap_set_flag(capabilities, set, Int32(keep.count), &keep, CAP_SET) == 0 else { return false }
        }
        return unsafe cap_set_proc(capabilities) == 0
    }
}
