// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The signals that end a tunnel: blocked in every thread, and waited for by the main one.
struct Signals {
    private var set = sigset_t()

    /// Blocks them in this thread and in those that it starts.
    init() {
        unsafe sigemptyset(&set)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits at most `seconds`; whether a signal came.
    mutating func wait(seconds: Int) -> Bool {
        var patience = timespec(tv_sec: seconds, tv_nsec: 0)
        return unsafe sigtimedwait(&set, nil, &patience) > 0
    }

    /// Wakes the thread that waits.
    static func stop() { kill(getpid(), SIGTERM) }
}
