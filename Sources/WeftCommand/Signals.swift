// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The signals that end a tunnel, or have it read its file again: blocked in every thread, and waited for by the main one.
package struct Signals {
    private var set = sigset_t()

    /// Blocks them in this thread and in those that it starts.
    package init() {
        unsafe sigemptyset(&set)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    package enum Arrival {
        case none
        /// The tunnel is to end.
        case end
        /// SIGHUP: the file is to be applied.
        case reload
    }

    /// Waits at most `seconds` for a signal.
    package mutating func wait(seconds: Int) -> Arrival {
        var patience = timespec(tv_sec: seconds, tv_nsec: 0)
        let signal = unsafe sigtimedwait(&set, nil, &patience)
        return signal == SIGHUP ? .reload : signal > 0 ? .end : .none
    }

    /// Wakes the thread that waits.
    package static func stop() { kill(getpid(), SIGTERM) }
}
