// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// The first exchange of a `weft/1` session: who dialled says what it can do on its first stream, and the other end
/// answers. What else comes in the meantime waits; the session is established once both know.
struct Greeting {
    /// The dialler's first bidirectional stream (RFC 9000, section 2.1).
    static let stream = StreamID(rawValue: 0)

    private let isDialed: Bool
    /// When the other end must have said it.
    let due: Instant
    private var reader = ControlFrameReader()
    private var isSaid = false
    private(set) var peers: Capabilities?
    private var held: [SessionEvent] = []

    init(isDialed: Bool, due: Instant) {
        self.isDialed = isDialed
        self.due = due
    }

    enum Step {
        case wait
        /// Answer on the stream, and go on with what waited.
        case answer([SessionEvent])
        case done([SessionEvent])
        case fail(String)
    }

    /// Takes what came since the last time.
    mutating func take(_ events: [SessionEvent]) -> Step {
        for event in events {
            switch event {
            case .received(_, Self.stream, let bytes, _) where !isSaid:
                if let why = read(bytes) { return .fail(why) }
            case .streamFailed(_, Self.stream): return .fail("it gave its first stream up")
            case .received(_, Self.stream, _, _): continue
            // Datagrams overtake each other: what comes before the peer has said all of it waits.
            default: held.append(event)
            }
        }
        guard isSaid else { return .wait }
        defer { held.removeAll() }
        return isDialed ? .done(held) : .answer(held)
    }

    private mutating func read(_ bytes: [UInt8]) -> String? {
        do {
            guard let payload = try reader.receive(bytes.span) else { return nil }
            peers = try Capabilities(payload: payload.span)
            isSaid = true
            return nil
        } catch {
            return "\(error)"
        }
    }
}
