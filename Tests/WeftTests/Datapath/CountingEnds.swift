// SPDX-License-Identifier: Apache-2.0
import Synchronization

@testable import Weft

/// An in-memory underlay that keeps books of its own.
final class CountingUnderlay: UnderlayReceiver, UnderlaySender {
    private let inner: MemoryUnderlay
    let received = Atomic(0)
    let sent = Atomic(0)

    init(_ inner: MemoryUnderlay) { self.inner = inner }

    func receive(into batch: inout FromUnderlay, timeout: Int32) throws(TransportError) {
        try inner.receive(into: &batch, timeout: timeout)
        received.add(batch.buffers.count, ordering: .relaxed)
    }

    func send(_ batch: borrowing ToUnderlay, failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void) {
        var count = (0..<batch.runs.count).reduce(0) { $0 + batch.runs[$1].count }
        inner.send(batch) { run, datagrams, failure in
            count -= datagrams
            failed(run, datagrams, failure)
        }
        sent.add(count, ordering: .relaxed)
    }

    func pathMTU(to endpoint: Endpoint) -> Int? { inner.pathMTU(to: endpoint) }
}

/// An in-memory overlay that keeps books of its own.
final class CountingOverlay: OverlayReceiver, OverlaySender {
    let inner: MemoryOverlay
    let received = Atomic(0)
    let sent = Atomic(0)

    init(_ inner: MemoryOverlay) { self.inner = inner }

    func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError) {
        try inner.receive(into: &batch, timeout: timeout)
        received.add(batch.packets.count, ordering: .relaxed)
    }

    func send(
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena,
        failed: (_ group: Int, _ packets: Int, SendFailure) -> Void
    ) {
        var count = packets.packets.count
        inner.send(packets, in: arena) { group, lost, failure in
            count -= lost
            failed(group, lost, failure)
        }
        sent.add(count, ordering: .relaxed)
    }

    func send(_ packet: RawSpan) -> SendFailure? { inner.send(packet) }
}

/// An overlay whose reads fail: each call takes the next result, and those behind the last succeed with nothing.
final class FailingOverlay: OverlayReceiver {
    private let failures: Atomic<Int>
    /// Calls that succeed between two failures; 0 for none.
    private let pause: Int
    private let calls = Atomic(0)
    private let wake: WakeEvent

    init(failures: Int, pause: Int = 0, wake: WakeEvent) {
        self.failures = Atomic(failures)
        self.pause = pause
        self.wake = wake
    }

    var isDone: Bool { failures.load(ordering: .relaxed) == 0 }

    func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError) {
        let call = calls.add(1, ordering: .relaxed).newValue
        if pause > 0, call % (pause + 1) == 0 { return }
        if failures.load(ordering: .relaxed) > 0 {
            failures.subtract(1, ordering: .relaxed)
            throw TransportError("read from the test", code: 5)
        }
        _ = try wake.wait(for: -1, events: 0, timeout: timeout)
    }
}
