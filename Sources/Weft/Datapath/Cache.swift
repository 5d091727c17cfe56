// SPDX-License-Identifier: Apache-2.0
import CWeftLinux

/// Hints to the processor's caches. Tables of many networks don't stay in them, and a batch knows what it will look at.
enum Cache {
    static let line = 64

    /// Fetches the lines that `count` bytes lie on.
    @inline(__always)
    static func prefetch(_ memory: UnsafeRawPointer, count: Int) {
        var offset = 0
        while offset < count {
            // Safe: a hint reads nothing.
            unsafe weft_prefetch(memory + offset)
            offset &+= line
        }
    }
}
