// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import WeftControl

/// Why QUIC can't be set up.
public enum QUICError: Error, Hashable, Sendable, CustomStringConvertible {
    /// GnuTLS refused something that it's expected to be able to do.
    case gnuTLS(operation: String, reason: String)

    init(_ operation: String, _ code: Int32) {
        // Safe: the text is a constant of GnuTLS's.
        let reason = unsafe gnutls_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
        self = .gnuTLS(operation: operation, reason: reason)
    }

    public var description: String {
        switch self {
        case .gnuTLS(let operation, let reason):
            "GnuTLS cannot \(operation) (\(reason)): check that the system's cryptographic policy allows P-256"
        }
    }
}
