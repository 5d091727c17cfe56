// SPDX-License-Identifier: Apache-2.0

/// An AEAD and its key length. Both are AES in Galois/counter mode (NIST SP 800-38D) with a 96-bit nonce and a
/// 128-bit tag.
public enum Suite: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case aes128GCM = 0
    case aes256GCM = 1

    /// Bytes in a key: 16 or 32.
    public var keyLength: Int { self == .aes128GCM ? 16 : 32 }

    /// The suite of a key of this many bytes.
    public init?(keyLength: Int) {
        switch keyLength {
        case 16: self = .aes128GCM
        case 32: self = .aes256GCM
        default: return nil
        }
    }

    /// As operators and RFC 5116 write it.
    public var name: String { self == .aes128GCM ? "AES-128-GCM" : "AES-256-GCM" }
}
