// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// One lane's counters of one network, or of none: written by that lane alone, read by anyone.
///
/// A load and a store are enough for a single writer; the lines of different lanes lie apart, so nothing is shared
/// that is written per packet.
@safe
final class CounterBlocks: @unchecked Sendable {
    private static let used = Counter.dropBase + DropReason.allCases.count
    /// In words; blocks end on a pair of cache lines, since processors fetch pairs.
    fileprivate static let stride = (used + 15) / 16 * 16

    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let lanes: Int

    init(lanes: Int) {
        self.lanes = lanes
        let count = lanes * Self.stride
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: count * MemoryLayout<Atomic<UInt64>>.stride, alignment: 128)
        unsafe words = memory.bindMemory(to: Atomic<UInt64>.self, capacity: count)
        for index in 0..<count { unsafe (words + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe words.deinitialize(count: lanes * Self.stride)
        unsafe words.deallocate()
    }

    /// The counters without their ownership.
    @safe
    struct View: BitwiseCopyable {
        fileprivate let words: UnsafeMutablePointer<Atomic<UInt64>>
    }

    /// Valid as long as the blocks live.
    @unsafe
    var view: View { unsafe View(words: words) }

    /// What is asked often, without the rest of ``total()``: packets sealed, keep-alives apart, and when the last datagram
    /// was accepted.
    func presence() -> (sent: UInt64, lastReceive: Instant?) {
        var sent: UInt64 = 0
        var latest: UInt64 = 0
        for lane in 0..<lanes {
            func load(_ counter: Counter) -> UInt64 {
                unsafe view.word(counter.rawValue, lane: lane).pointee.load(ordering: .relaxed)
            }
            sent &+= load(.txPackets) &- load(.txKeepAlives)
            latest = max(latest, load(.lastReceive))
        }
        return (sent, latest == 0 ? nil : Instant(nanoseconds: latest))
    }

    /// The sum over all lanes; of ``Counter/lastReceive`` the latest.
    func total() -> Statistics {
        func sum(_ index: Int) -> UInt64 {
            (0..<lanes).reduce(0) { $0 &+ (unsafe view.word(index, lane: $1).pointee.load(ordering: .relaxed)) }
        }
        var statistics = Statistics()
        statistics.rxPackets = sum(Counter.rxPackets.rawValue)
        statistics.rxBytes = sum(Counter.rxBytes.rawValue)
        statistics.rxOutOfBand = sum(Counter.rxOutOfBand.rawValue)
        statistics.txPackets = sum(Counter.txPackets.rawValue)
        statistics.txBytes = sum(Counter.txBytes.rawValue)
        statistics.txKeepAlives = sum(Counter.txKeepAlives.rawValue)
        statistics.localReplies = sum(Counter.localReplies.rawValue)
        statistics.lastReceive = presence().lastReceive
        for kind in PacketKind.allCases {
            let count = kind.counter.map { sum($0.rawValue) } ?? 0
            if count > 0 { statistics.handedOver[kind] = count }
        }
        for reason in DropReason.allCases {
            let count = sum(Counter.dropBase + Int(reason.rawValue))
            if count > 0 { statistics.drops[reason] = count }
        }
        return statistics
    }
}

extension CounterBlocks.View {
    @inline(__always)
    fileprivate func word(_ index: Int, lane: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // Safe: a lane's number is below `lanes`, which the engine hands out, and an index below `used`.
        unsafe words + (lane &* CounterBlocks.stride &+ index)
    }

    /// Fetches the counters that a packet without fault raises.
    @inline(__always)
    func prefetch(lane: Int) {
        unsafe Cache.prefetch(word(0, lane: lane), count: Counter.dropBase * MemoryLayout<UInt64>.size)
    }

    @inline(__always)
    func add(_ amount: UInt64, to counter: Counter, lane: Int) {
        add(amount, at: counter.rawValue, lane: lane)
    }

    @inline(__always)
    func add(_ amount: UInt64 = 1, to reason: DropReason, lane: Int) {
        add(amount, at: Counter.dropBase &+ Int(reason.rawValue), lane: lane)
    }

    @inline(__always)
    private func add(_ amount: UInt64, at index: Int, lane: Int) {
        let word = unsafe word(index, lane: lane)
        unsafe word.pointee.store(word.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    @inline(__always)
    func set(_ value: UInt64, _ counter: Counter, lane: Int) {
        unsafe word(counter.rawValue, lane: lane).pointee.store(value, ordering: .relaxed)
    }
}
