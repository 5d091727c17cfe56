// SPDX-License-Identifier: Apache-2.0

/// The AEAD that an SA seals with, by its number in the control protocol.
public enum CipherSuite: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case aes128GCM = 0
    case aes256GCM = 1

    /// Bytes in an SA's key: 16 or 32.
    public var keyByteCount: Int { self == .aes128GCM ? 16 : 32 }

    public var description: String { self == .aes128GCM ? "AES-128-GCM" : "AES-256-GCM" }
}
