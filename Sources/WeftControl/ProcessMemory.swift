// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft

/// Keeps a whole process out of swap, for the sake of libraries that hold secrets in memory of their own.
public enum ProcessMemory {
    /// Why memory can't be locked.
    public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        let operation: String
        let code: Int32

        public var description: String {
            "cannot \(operation) (\(SystemCall.message(code))): QUIC's copies of keys may be swapped out; start as root, or with "
                + "an unlimited RLIMIT_MEMLOCK, or turn swap off"
        }
    }

    private static let locked = Atomic(false)
    private static let limited = Atomic(false)

    /// Whether ``lock(isExempt:)`` was called and did its work.
    static var isLocked: Bool { locked.load(ordering: .relaxed) }

    /// Whether memory is locked beyond RLIMIT_MEMLOCK: without CAP_IPC_LOCK all later mappings would fail.
    public static var needsExemption: Bool { isLocked && limited.load(ordering: .relaxed) }

    /// Locks what the process has in memory, and what it will have, page by page as it comes into use.
    ///
    /// - Parameter isExempt: whether the process has CAP_IPC_LOCK, and keeps it should it need it. Without that the limit
    ///   must go, or later mappings would fail.
    public static func lock(isExempt: Bool) throws(Refusal) {
        var limit = rlimit(rlim_cur: .max, rlim_max: .max)
        if unsafe setrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) != 0 {
            guard isExempt else { throw Refusal(operation: "raise the limit of locked memory", code: errno) }
            limited.store(true, ordering: .relaxed)
        }
        guard mlockall(MCL_CURRENT | MCL_FUTURE | Int32(MCL_ONFAULT)) == 0 else {
            throw Refusal(operation: "lock the process's memory", code: errno)
        }
        locked.store(true, ordering: .relaxed)
    }
}
