// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL

/// libcrypto refused an operation that it's expected to be able to do.
public struct OpenSSLError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, as in `derive a key with HKDF`.
    public let operation: String
    /// libcrypto's own words, if it left any.
    public let reason: String?

    /// Takes the reason from this thread's error queue and empties the queue.
    init(_ operation: String) {
        self.operation = operation
        // Safe: the text is a constant of libcrypto's, or null.
        reason = unsafe ERR_reason_error_string(ERR_peek_last_error()).map { unsafe String(cString: $0) }
        ERR_clear_error()
    }

    public var description: String {
        "libcrypto cannot \(operation) (\(reason ?? "no reason given")): check that its default provider is enabled"
    }
}
