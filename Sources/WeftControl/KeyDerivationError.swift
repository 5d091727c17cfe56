// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Weft

/// Why no key could be derived.
public enum KeyDerivationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A root secret has this many bytes, and at least ``MasterKeys/minimumRootSecretByteCount`` are needed.
    case rootSecretTooShort(Int)
    /// An AES key has this many bytes.
    case wrongKeyLength(Int)
    case openSSL(OpenSSLError)

    public var description: String {
        switch self {
        case .rootSecretTooShort(let count):
            "the root secret has \(count) bytes: export at least \(MasterKeys.minimumRootSecretByteCount)"
        case .wrongKeyLength(let count):
            "a key of \(count) bytes fits no AES: use 16, 24 or 32, and 32 for a master key"
        case .openSSL(let error):
            error.description
        }
    }
}
