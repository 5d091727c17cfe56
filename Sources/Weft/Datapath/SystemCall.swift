// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// What every driver needs of the system.
public enum SystemCall {
    /// The system's words for an `errno`.
    public static func message(_ code: Int32) -> String {
        guard let text = unsafe strerror(code) else { return "error \(code)" }
        return unsafe String(cString: text)
    }

    /// Repeats a call that returns -1 while a signal interrupts it.
    /// - Throws: the `errno`.
    @discardableResult
    public static func retrying<Value: SignedInteger>(
        _ operation: @autoclosure () -> String, _ call: () -> Value
    ) throws(TransportError) -> Value {
        while true {
            let value = call()
            if value >= 0 { return value }
            let code = errno
            guard code == EINTR else { throw TransportError(operation(), code: code) }
        }
    }

    /// CLOCK_BOOTTIME: it goes on while the host sleeps, and nobody sets it.
    public static func now() -> Instant {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }
}
