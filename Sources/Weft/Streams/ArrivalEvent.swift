// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// An event descriptor that is readable while something waits for its one reader.
package final class ArrivalEvent: Sendable {
    private let descriptor: FileDescriptor

    package init() throws(TransportError) {
        descriptor = FileDescriptor(
            owning: try SystemCall.retrying("make an event descriptor") {
                eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
            })
    }

    package var raw: Int32 { descriptor.raw }

    package func signal() {
        var one: UInt64 = 1
        _ = unsafe write(descriptor.raw, &one, MemoryLayout<UInt64>.size)
    }

    /// Makes it unreadable; to be called before looking for what arrived.
    package func clear() {
        var arrivals: UInt64 = 0
        _ = unsafe read(descriptor.raw, &arrivals, MemoryLayout<UInt64>.size)
    }
}
