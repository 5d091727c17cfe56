// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// A thread that runs one function to its end.
@safe
public struct WorkerThread: ~Copyable, Sendable {
    private let thread: pthread_t

    private final class Work {
        let name: String
        let processor: UInt32?
        let body: @Sendable () -> Void

        init(name: String, processor: UInt32?, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.processor = processor
            self.body = body
        }
    }

    /// Starts a thread. All signals but SIGSYS are blocked in it: they are the main thread's to wait for.
    /// - Parameters:
    ///   - name: at most 15 bytes are shown by the system.
    ///   - processor: pins the thread to one of the processors that the process may run on, counted from 0 and around;
    ///     nil leaves it to the scheduler. Best effort.
    public init(
        name: String, processor: UInt32? = nil, _ body: @escaping @Sendable () -> Void
    ) throws(TransportError) {
        let work = unsafe Unmanaged.passRetained(Work(name: name, processor: processor, body: body))
        var all = sigset_t()
        var previous = sigset_t()
        unsafe sigfillset(&all)
        // A process that confines itself answers refused system calls in its handler; blocked, it would be killed.
        unsafe sigdelset(&all, SIGSYS)
        unsafe pthread_sigmask(SIG_BLOCK, &all, &previous)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                // Safe: the argument is the retained work, taken over exactly once.
                guard let argument = unsafe argument else { return nil }
                let work = unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
                unsafe weft_name_thread(work.name)
                if let processor = work.processor { _ = weft_pin_thread(processor) }
                work.body()
                return nil
            }, work.toOpaque())
        guard code == 0 else {
            unsafe work.release()
            throw TransportError("start a thread", code: code)
        }
        self.thread = thread
    }

    /// Waits until the thread has ended.
    public consuming func join() { pthread_join(thread, nil) }
}
