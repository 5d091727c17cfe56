// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Glibc
import WeftControl

/// A SHA-256 digest that stands for a key where the key itself must not appear.
///
/// A key has 128 random bits, so nobody finds it from its fingerprint; equal keys in the same role have equal ones.
struct KeyFingerprint: Hashable, Sendable, CustomStringConvertible {
    /// What the fingerprint is for. Different roles give unrelated fingerprints of the same key.
    enum Role: String {
        /// Names the file that keeps a transmit key's state.
        case send = "weft manual key 1 send"
        /// Tells inside that file whose received counter it holds.
        case receive = "weft manual key 1 receive"
        /// Finds a key that occurs twice in a tunnel file, in whatever role.
        case anyRole = "weft manual key 1 any"
    }

    private let digest: SHA256Digest

    /// Nil if OpenSSL has no SHA-256.
    init?(_ key: ManualKey, role: Role) {
        // The zero byte ends the label, so that no label is another one's beginning.
        let label = Array(role.rawValue.utf8) + [0]
        let input = SecretBytes(count: label.count + ManualKey.byteCount) { input in
            for (index, byte) in label.enumerated() { input[index] = byte }
            key.withBytes { bytes in
                for index in 0..<bytes.byteCount {
                    // index < byteCount
                    input[label.count + index] = unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
                }
            }
        }
        // `bytes` is unsafe for types with padding, and a UInt8 has none.
        guard let digest = SHA256Digest(of: unsafe input.span.bytes) else { return nil }
        self.digest = digest
    }

    /// 64 lower-case hexadecimal digits.
    var description: String { digest.description }

    /// The first 8 digits: enough for people to tell keys apart.
    var short: String { String(description.prefix(8)) }
}

/// The 32 bytes of a SHA-256.
struct SHA256Digest: Hashable, Sendable, CustomStringConvertible {
    private let bytes: [UInt8]

    /// Nil if OpenSSL has no SHA-256, as when its configuration leaves the default provider out.
    init?(of input: RawSpan) {
        var output = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        // SHA256 reads `count` bytes at the input's base and writes 32 to the output's, which has that many.
        let done = unsafe input.withUnsafeBytes { input in
            unsafe output.withUnsafeMutableBufferPointer { output in
                let base = unsafe input.baseAddress?.assumingMemoryBound(to: UInt8.self)
                return unsafe SHA256(base, input.count, output.baseAddress) != nil
            }
        }
        guard done else { return nil }
        bytes = output
    }

    /// 64 lower-case hexadecimal digits.
    var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
