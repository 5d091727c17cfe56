// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Decides on the thread that received them which control datagrams are taken at all, and by which queue: what bears a tag
/// of ours, calls, and what may be a reset wait apart, so that none of them fills the others' room.
public final class ControlGate: Sendable {
    private struct State: ~Copyable {
        var tags: ConnectionTags
        var answersStrangers: Bool
        var calls: SourceLimiter
        var resets: SourceLimiter

        mutating func decide(_ datagram: RawSpan, from source: Endpoint, at now: Instant) -> Decision {
            switch tags.judge(datagram) {
            case .ours: return .take(.ours)
            case .maybeReset: return resets.admits(source.address, at: now) ? .take(.resets) : .overLimit
            case .stranger where !answersStrangers: return .stranger
            case .call, .stranger: return calls.admits(source.address, at: now) ? .take(.calls) : .overLimit
            }
        }
    }

    private let state: Mutex<State>

    /// - Parameter answersStrangers: whether first packets without a tag are taken, for ends that know of none.
    public init(_ tags: ConnectionTags, answersStrangers: Bool, limits: CallLimits = CallLimits()) {
        state = Mutex(
            State(
                tags: tags, answersStrangers: answersStrangers,
                calls: SourceLimiter(perSource: limits.callsPerSource, total: limits.calls),
                resets: SourceLimiter(perSource: limits.resetsPerSource, total: limits.resets)))
    }

    /// Whether first packets without a tag are taken from now on.
    public func setAnswersStrangers(_ answers: Bool) { state.withLock { $0.answersStrangers = answers } }

    enum Decision: Hashable {
        case take(Queue)
        case stranger
        case overLimit
    }

    /// The queues for control datagrams.
    enum Queue: Int, CaseIterable {
        case ours
        case calls
        case resets
    }

    /// Decides on a buffer's datagrams, in one step; `body` gets them in runs of the same decision.
    func decide(
        on buffer: FromUnderlay.Buffer, in arena: borrowing PacketArena, at now: Instant,
        _ body: (Decision, FromUnderlay.Buffer) -> Void
    ) {
        state.withLock { state in
            let end = buffer.place.range.upperBound
            var (start, offset) = (buffer.place.offset, buffer.place.offset)
            var last: Decision?
            func finish() {
                guard let last else { return }
                let place = PacketRange(offset: start, count: offset - start)
                body(
                    last,
                    .init(
                        place: place, segmentSize: buffer.segmentSize, source: buffer.source, local: buffer.local))
                start = offset
            }
            while offset < end {
                let next = min(offset + buffer.segmentSize, end)
                let decision = state.decide(
                    arena.bytes.extracting(offset..<next), from: buffer.source, at: now)
                if decision != last { finish() }
                last = decision
                offset = next
            }
            finish()
        }
    }
}
