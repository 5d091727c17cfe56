// SPDX-License-Identifier: Apache-2.0
import CWeftCapability
import CWeftLinux
import WeftControl

/// Gives up what a running tunnel doesn't need.
package enum Privileges {
    /// What binding AF_XDP to an interface takes that went and came back.
    package static var xdp: [cap_value_t] { [CAP_NET_RAW, cap_value_t(CAP_BPF)] }

    /// Locks the process's memory, where QUIC's libraries keep secrets of their own; says so where that isn't allowed.
    package static func lockMemory(_ log: Log) {
        do throws(ProcessMemory.Refusal) {
            try ProcessMemory.lock(isExempt: has(CAP_IPC_LOCK))
        } catch {
            log.warning(error.description)
        }
    }

    /// Whether the calling thread may make interfaces and routes in its network.
    package static var mayConfigureNetwork: Bool { has(CAP_NET_ADMIN) }

    private static func has(_ capability: cap_value_t) -> Bool {
        guard let capabilities = unsafe cap_get_proc() else { return false }
        defer { unsafe cap_free(UnsafeMutableRawPointer(capabilities)) }
        var flag = CAP_CLEAR
        return unsafe cap_get_flag(capabilities, capability, CAP_EFFECTIVE, &flag) == 0 && flag == CAP_SET
    }

    /// Keeps CAP_NET_ADMIN, to take policy rules away at the end and to mark probes, and drops every other capability;
    /// keeps keys out of core dumps. Threads that start later have no more.
    /// - Parameter more: capabilities to keep as well.
    /// - Returns: whether the capabilities are gone; an unprivileged process has none to drop.
    package static func drop(keeping more: [cap_value_t] = []) -> Bool {
        _ = weft_forbid_dumps()
        guard let capabilities = unsafe cap_init() else { return false }
        defer { unsafe cap_free(UnsafeMutableRawPointer(capabilities)) }
        var keep: [cap_value_t] = [CAP_NET_ADMIN] + more
        if ProcessMemory.needsExemption { keep.append(CAP_IPC_LOCK) }
        for set in [CAP_PERMITTED, CAP_EFFECTIVE] {
            guard unsafe cap_set_flag(capabilities, set, Int32(keep.count), &keep, CAP_SET) == 0 else { return false }
        }
        return unsafe cap_set_proc(capabilities) == 0
    }
}
