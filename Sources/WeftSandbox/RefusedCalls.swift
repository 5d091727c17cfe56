// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import CWeftSeccomp
import Glibc

/// The system calls that this process was refused since it was confined.
public enum RefusedCalls {
    /// One kind of call.
    public struct Entry: Hashable, Sendable {
        /// As the kernel calls it, such as `openat`, or its number.
        public let name: String
        public let count: UInt64
    }

    /// Those that were refused at least once. From any thread.
    public static var counts: [Entry] {
        (0..<UInt32(WEFT_COUNTED_CALLS)).compactMap { number in
            let count = weft_refused_calls(number)
            return count == 0 ? nil : Entry(name: name(of: number), count: count)
        }
    }

    private static func name(of number: UInt32) -> String {
        guard let name = unsafe seccomp_syscall_resolve_num_arch(UInt32(SCMP_ARCH_NATIVE), Int32(number)) else {
            return "call \(number)"
        }
        defer { unsafe free(name) }
        return unsafe String(cString: name)
    }
}
