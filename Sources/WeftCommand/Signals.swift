// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The signals that end a tunnel, or have it read its file again: blocked in every thread, and waited for by the main one.
package struct Signals {
    /// What a person, a terminal or a service manager sends.
    package static let all = [SIGINT, SIGTERM, SIGHUP, SIGUSR1]

    private var set = sigset_t()

    /// Blocks them in this thread and in those that it starts.
    package init() {
        unsafe sigemptyset(&set)
        for signal in Self.all { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    package enum Arrival {
        case none
        /// The tunnel is to end.
        case end
        /// SIGUSR1: it is to end, and another start follows.
        case endBeforeStart
        /// SIGHUP: the file is to be applied.
        case reload
    }

    /// Waits at most `seconds` for a signal.
    package mutating func wait(seconds: Int) -> Arrival {
        switch number(seconds: seconds) {
        case SIGHUP: .reload
        case SIGUSR1: .endBeforeStart
        case let other: other == nil ? .none : .end
        }
    }

    /// Waits at most `seconds` for a signal.
    /// - Returns: its number; nil where none came.
    package mutating func number(seconds: Int) -> Int32? {
        var patience = timespec(tv_sec: seconds, tv_nsec: 0)
        let signal = unsafe sigtimedwait(&set, nil, &patience)
        return signal > 0 ? signal : nil
    }

    /// Wakes the thread that waits.
    /// - Parameter beforeStart: whether another start follows.
    package static func stop(beforeStart: Bool = false) { kill(getpid(), beforeStart ? SIGUSR1 : SIGTERM) }
}
