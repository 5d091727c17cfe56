// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Real threads: the concurrency pool has no more of them than the machine has cores.
public enum Threads {
    /// Runs `body` on `count` threads at once, with each one's number, and returns when all have ended.
    /// - Throws: what the first of them threw that failed.
    public static func run(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
        let meeting = Meeting()
        for number in 0..<count {
            let thread = Thread {
                meeting.arrive()
                // All begin together, or the first would be done before the last exists.
                meeting.wait(for: count)
                do { try body(number) } catch { meeting.fail(error) }
                meeting.arrive()
            }
            // The default is 512 KiB, which is little for a debug build.
            thread.stackSize = 4 << 20
            thread.start()
        }
        meeting.wait(for: count * 2)
        if let failure = meeting.failure { throw failure }
    }

    /// Lets another thread run.
    public static func yield() { sched_yield() }

    /// Counts arrivals; threads wait until there were enough.
    private final class Meeting: @unchecked Sendable {
        // The condition guards both.
        private let condition = NSCondition()
        private var arrivals = 0
        private var failures: [any Error] = []

        func arrive() {
            condition.withLock { arrivals += 1 }
            condition.broadcast()
        }

        func wait(for count: Int) {
            condition.withLock {
                while arrivals < count { condition.wait() }
            }
        }

        func fail(_ error: any Error) { condition.withLock { failures.append(error) } }

        var failure: (any Error)? { condition.withLock { failures.first } }
    }
}
