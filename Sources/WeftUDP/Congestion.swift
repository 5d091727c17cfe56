// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a sender does about a socket's buffer that is full (EAGAIN).
///
/// Waiting for it keeps what comes from the overlay from being faster than what leaves. But one thread serves many peers, and one
/// of them may be behind a line that never gets rid of it: so it is waited for briefly, and not at all for some time after that
/// was in vain. What is given up is for the inner transport to send again, as on any full line.
struct Congestion: BitwiseCopyable {
    /// How long a full buffer is waited for: milliseconds.
    static let patience: Int32 = 5
    /// How long buffers aren't waited for after that was in vain.
    static let impatience = Duration.milliseconds(100)
    /// How long peers stay parted after a buffer was full.
    static let parting = Duration.seconds(10)

    enum Answer: Hashable {
        /// Sends it again, from the peer's own socket.
        case part
        /// Waits, then tries once more.
        case wait
        /// What is left for this socket doesn't go.
        case giveUp
    }

    /// Whether each peer's datagrams leave from a socket of its own.
    private(set) var isSeparate = false
    private var separateUntil = Instant(nanoseconds: 0)
    private var waitsAgain = Instant(nanoseconds: 0)

    /// A buffer was full.
    /// - Parameters:
    ///   - hasWaited: whether it was waited for since something went: EAGAIN has other causes, too.
    ///   - canPart: whether there are sockets for peers of their own.
    mutating func isFull(_ place: SendSockets.Place, hasWaited: Bool, canPart: Bool, at now: Instant) -> Answer {
        separateUntil = now.advanced(by: Self.parting)
        if canPart, case .common = place {
            isSeparate = true
            return .part
        }
        return hasWaited || now < waitsAgain ? .giveUp : .wait
    }

    mutating func hasWaitedInVain(at now: Instant) { waitsAgain = now.advanced(by: Self.impatience) }

    /// Ends the parting once no buffer was full for long enough.
    mutating func look(at now: Instant) { isSeparate = isSeparate && now < separateUntil }
}
