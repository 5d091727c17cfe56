// SPDX-License-Identifier: Apache-2.0
import Weft

extension ControlPlane {
    /// Nobody who runs us lets so much time pass between two looks: the host slept, or we were stopped.
    static let sleep = Duration.seconds(2)

    /// After a sleep asks each peer at once whether it still knows the session, and calls those that we have none with, whoever
    /// calls otherwise: keys that ran out meanwhile are there again before anybody misses them.
    func noticeSleep(until now: Instant) {
        defer { lastLook = now }
        guard let lastLook, now >= lastLook.advanced(by: Self.sleep) else { return }
        for life in lives.values {
            if !life.isICX { life.wake(at: now) }
            if let session = life.session {
                transport.probe(session.id)
                // The time for a renewal may have passed as well.
                life.due = now
            }
        }
        lookAtAll(from: now)
    }
}
