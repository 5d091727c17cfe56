// SPDX-License-Identifier: Apache-2.0
import Weft

/// When a control process is started, asked whether it is there, and ended. It reads no clock and does no I/O.
struct ControlSupervision {
    enum Action: Hashable {
        case start
        case ping(UInt64)
        /// End it for this reason.
        case kill(String)
    }

    private enum State {
        /// Nothing runs; the next start is due then.
        case away(until: Instant)
        /// It was started and hasn't said that it works.
        case starting(since: Instant)
        case working(unanswered: Instant?)
        /// It is to end.
        case ending
    }

    private static let pingInterval = Duration.milliseconds(250)
    /// How long a ping may go unanswered.
    static let patience = Duration.seconds(1)
    /// How long it may take to begin; a busy host loads libraries slowly.
    static let startPatience = Duration.seconds(10)
    /// Ends within this time make the next start wait.
    static let window = Duration.seconds(30)
    static let freeEnds = 4
    static let pauses: [Duration] = [.seconds(1), .seconds(2), .seconds(5), .seconds(10)]
    /// Between two looks of a caller that isn't held up itself.
    private static let longestLook = Duration.milliseconds(500)

    private var state: State
    private var recent: [Instant] = []
    private var lastPing: UInt64 = 0
    private var nextPing = Instant(nanoseconds: 0)
    private var lastLook: Instant
    private var killReason: String?
    /// Ends so far.
    private(set) var ends: UInt64 = 0
    private(set) var lastEnd: (cause: String, at: Instant)?
    /// Since when it works; nil while it doesn't.
    private(set) var workingSince: Instant?

    init(at now: Instant) {
        state = .away(until: now)
        lastLook = now
    }

    /// When ``act(at:)`` has something to do.
    var nextDeadline: Instant {
        switch state {
        case .away(let until): until
        case .starting(let since): since.advanced(by: Self.startPatience)
        case .working(let unanswered):
            min(nextPing, unanswered?.advanced(by: Self.patience) ?? .distantFuture)
        case .ending: .distantFuture
        }
    }

    /// What is due now.
    mutating func act(at now: Instant) -> Action? {
        // Whoever was held up itself, or slept with the host, can't tell how long the other was: it asks anew.
        let wasHeldUp = now > lastLook.advanced(by: Self.longestLook)
        lastLook = now
        switch state {
        case .away(let until):
            guard now >= until else { return nil }
            state = .starting(since: now)
            return .start
        case .starting(let since):
            if wasHeldUp { state = .starting(since: now) }
            guard !wasHeldUp, now >= since.advanced(by: Self.startPatience) else { return nil }
            return kill("it didn't begin within \(Self.startPatience)")
        case .working(let unanswered):
            if let unanswered, !wasHeldUp, now >= unanswered.advanced(by: Self.patience) {
                return kill("it left a ping unanswered for \(Self.patience)")
            }
            guard now >= nextPing || wasHeldUp else { return nil }
            nextPing = now.advanced(by: Self.pingInterval)
            lastPing += 1
            if unanswered == nil || wasHeldUp { state = .working(unanswered: now) }
            return .ping(lastPing)
        case .ending: return nil
        }
    }

    private mutating func kill(_ why: String) -> Action {
        state = .ending
        killReason = why
        return .kill(why)
    }

    /// It said that it works.
    mutating func hello(at now: Instant) {
        guard case .starting = state else { return }
        state = .working(unanswered: nil)
        workingSince = now
        nextPing = now
    }

    /// It answered a ping. Only the newest counts: all before it were answered by it, too.
    mutating func pong(_ number: UInt64) {
        if case .working = state, number == lastPing { state = .working(unanswered: nil) }
    }

    /// It broke what the two have agreed on, and is to end.
    mutating func violated(_ why: String) -> Action { kill(why) }

    /// It is gone.
    mutating func ended(_ how: String, at now: Instant) {
        ends += 1
        lastEnd = (killReason ?? how, now)
        killReason = nil
        workingSince = nil
        recent = recent.filter { now < $0.advanced(by: Self.window) } + [now]
        let excess = recent.count - Self.freeEnds
        let pause = excess > 0 ? Self.pauses[min(excess, Self.pauses.count) - 1] : .zero
        state = .away(until: now.advanced(by: pause))
    }
}
