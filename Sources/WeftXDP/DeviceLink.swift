// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Where a device is at present, for queues that are to bind to it.
final class DeviceLink: Sendable {
    struct State: Sendable {
        /// Nil while the interface is gone.
        var interface: Int32?
        /// Rises whenever sockets must be made anew.
        var generation: UInt64 = 0
    }

    private let state = Mutex(State())
    private let published = Atomic<UInt64>(0)
    /// The largest inner packet that fits one frame of the device, as an underlay, in bytes: 0 or more.
    let largestInner = Atomic<Int>(.max)

    var current: State { state.withLock { $0 } }
    /// One look per batch.
    var generation: UInt64 { published.load(ordering: .acquiring) }

    func set(_ interface: Int32?) {
        state.withLock { state in
            state.interface = interface
            state.generation += 1
            published.store(state.generation, ordering: .releasing)
        }
    }
}
