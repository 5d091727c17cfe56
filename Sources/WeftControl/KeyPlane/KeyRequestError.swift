// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why a request for a network came to nothing.
public enum KeyRequestError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The responder refuses; it doesn't tell why.
    case rejected
    /// No VNI is free now.
    case vnisExhausted
    /// The session has used up its SPIs; the next request begins another.
    case spisExhausted
    /// No answer in time.
    case timeout
    /// The session ended, or couldn't be begun.
    case session(SessionEnd)
    /// The responder broke the protocol.
    case violation(String)
    /// We were closed.
    case closed

    public var description: String {
        switch self {
        case .rejected:
            "the responder refuses: check that its file lists this key, the address within its AllowedIPs, and room in its "
                + "Networks; another initiator may hold the address"
        case .vnisExhausted: "the responder has no VNI free for us: try again later"
        case .spisExhausted: "the session has used up its SPIs: ask again"
        case .timeout: "the responder didn't answer in time: ask again"
        case .session(let end): end.description
        case .violation(let why): "the responder broke the protocol (\(why)): run one that follows it"
        case .closed: "closed before the answer came"
        }
    }
}
