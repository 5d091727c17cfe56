// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// An event descriptor that wakes every thread that waits, and keeps them awake: it is never read.
public final class WakeEvent: Sendable {
    private let descriptor: FileDescriptor

    public init() throws(TransportError) {
        let raw = try SystemCall.retrying("make an event descriptor") { eventfd(0, Int32(EFD_CLOEXEC)) }
        descriptor = FileDescriptor(owning: raw)
    }

    /// Wakes whoever waits now or later. From any thread, any number of times.
    public func signal() {
        var one: UInt64 = 1
        _ = unsafe write(descriptor.raw, &one, MemoryLayout<UInt64>.size)
    }

    /// What ended a wait.
    public enum Wait: Sendable {
        case ready
        case timedOut
        case woken
    }

    /// Waits until one of two is readable, the event is signalled, or `timeout` milliseconds have passed. A negative
    /// descriptor is left out.
    public func wait(forEither one: Int32, or two: Int32, timeout: Int32) throws(TransportError) -> Wait {
        var descriptors = (
            pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: one, events: Int16(POLLIN), revents: 0), pollfd(fd: two, events: Int16(POLLIN), revents: 0)
        )
        let count = unsafe withUnsafeMutableBytes(of: &descriptors) { bytes in
            // Safe: a tuple of three of the same structure lies in memory like an array of three.
            unsafe poll(bytes.assumingMemoryBound(to: pollfd.self).baseAddress, 3, timeout)
        }
        return try Self.outcome(count, isWoken: descriptors.0.revents != 0)
    }

    /// Waits until `other` is ready for `events` (POLLIN or POLLOUT), the event is signalled, or `timeout`
    /// milliseconds have passed. A negative `other` waits for the event alone.
    public func wait(for other: Int32, events: Int32, timeout: Int32) throws(TransportError) -> Wait {
        var descriptors = (
            pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: other, events: Int16(truncatingIfNeeded: events), revents: 0)
        )
        let count = unsafe withUnsafeMutableBytes(of: &descriptors) { bytes in
            // Safe: a tuple of two of the same structure lies in memory like an array of two.
            unsafe poll(bytes.assumingMemoryBound(to: pollfd.self).baseAddress, 2, timeout)
        }
        return try Self.outcome(count, isWoken: descriptors.0.revents != 0)
    }

    /// Waits until one of several is ready, whose `revents` then say for what, the event is signalled, or `timeout` milliseconds
    /// have passed.
    public func wait(forAny descriptors: inout [pollfd], timeout: Int32) throws(TransportError) -> Wait {
        descriptors.append(pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0))
        let count = unsafe poll(&descriptors, nfds_t(descriptors.count), timeout)
        let own = descriptors.removeLast()
        return try Self.outcome(count, isWoken: own.revents != 0)
    }

    /// What poll(2) returned means.
    private static func outcome(_ count: Int32, isWoken: Bool) throws(TransportError) -> Wait {
        if count < 0 {
            let code = errno
            guard code == EINTR else { throw TransportError("wait for packets", code: code) }
            return .timedOut
        }
        if isWoken { return .woken }
        return count == 0 ? .timedOut : .ready
    }
}
