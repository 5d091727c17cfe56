// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A queue's status, for others to read.
final class QueueReport: Sendable {
    private let state: Mutex<XDPQueueStatus>

    init(_ status: XDPQueueStatus) { state = Mutex(status) }

    var status: XDPQueueStatus { state.withLock { $0 } }

    func set(_ status: XDPQueueStatus) { state.withLock { $0 = status } }
}
