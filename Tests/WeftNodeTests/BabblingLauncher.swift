// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft

@testable import WeftNode

/// Starts "processes" that say what is no message.
final class BabblingLauncher: ControlLauncher {
    private struct State {
        var starts = 0
        var events: [LauncherEvent] = []
        var end: SharedDescriptor?
    }

    private let state = Mutex(State())
    private let arrival: ArrivalEvent

    init() throws { arrival = try ArrivalEvent() }

    var starts: Int { state.withLock { $0.starts } }
    var descriptor: Int32 { arrival.raw }

    func start(with end: consuming FileDescriptor) {
        let babble: [UInt8] = [1, 4, 0, 1, 0, 0, 0, 250, 250, 250]
        _ = unsafe write(end.raw, babble, babble.count)
        let held = SharedDescriptor(end)
        state.withLock { state in
            state.starts += 1
            state.events.append(.started(process: 1))
            state.end = held
        }
        arrival.signal()
    }

    func kill() {
        state.withLock { state in
            state.end?.close()
            state.end = nil
            state.events.append(.ended("killed"))
        }
        arrival.signal()
    }

    func close() {}

    func nextEvent() -> LauncherEvent? {
        arrival.clear()
        return state.withLock { $0.events.isEmpty ? nil : $0.events.removeFirst() }
    }
}
