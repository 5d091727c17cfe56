// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL

/// One end's X25519 key pair for one exchange (RFC 7748, section 6.1).
///
/// The private half never leaves it, is used once, and is wiped by that.
struct KeyShare: ~Copyable {
    /// Bytes of either half.
    static let byteCount = 32

    private let secret: SecretBytes
    /// What the other end gets.
    let publicHalf: [UInt8]

    /// A new pair.
    static func generate() throws(KeyDerivationError) -> KeyShare {
        try KeyShare(
            secret: try SecretBytes(count: byteCount) { bytes throws(KeyDerivationError) in
                // Safe: it writes just as many bytes as the span has.
                let done = unsafe bytes.withUnsafeMutableBufferPointer {
                    unsafe RAND_priv_bytes($0.baseAddress, Int32($0.count))
                }
                guard done == 1 else { throw .openSSL(OpenSSLError("make random bytes")) }
            })
    }

    /// The pair of a private half of ``byteCount`` bytes.
    init(secret: consuming SecretBytes) throws(KeyDerivationError) {
        let key = try unsafe Self.privateKey(secret.span)
        defer { unsafe EVP_PKEY_free(key) }
        var half = [UInt8](repeating: 0, count: Self.byteCount)
        var count = half.count
        // Safe: it writes at most `count` bytes, and says how many.
        guard unsafe EVP_PKEY_get_raw_public_key(key, &half, &count) == 1, count == Self.byteCount else {
            throw .openSSL(OpenSSLError("derive an X25519 public key"))
        }
        publicHalf = half
        self.secret = secret
    }

    /// The secret that both ends share; nil for a share that isn't ``byteCount`` bytes, or whose point is of so small an order
    /// that the secret would be all zeros, whatever ours is.
    consuming func agree(with other: Span<UInt8>) throws(KeyDerivationError) -> SecretBytes? {
        guard other.count == Self.byteCount else { return nil }
        let own = try unsafe Self.privateKey(secret.span)
        defer { unsafe EVP_PKEY_free(own) }
        // Safe: libcrypto reads as many bytes as it's told, and copies them.
        let peer = unsafe other.withUnsafeBufferPointer {
            unsafe EVP_PKEY_new_raw_public_key(NID_X25519, nil, $0.baseAddress, $0.count)
        }
        defer { unsafe EVP_PKEY_free(peer) }
        let context = unsafe EVP_PKEY_CTX_new(own, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        guard unsafe peer != nil && context != nil else { throw .openSSL(OpenSSLError("use an X25519 public key")) }
        // libcrypto refuses a secret of zeros by itself, and then it stays one.
        let shared = SecretBytes(count: Self.byteCount) { bytes in
            unsafe bytes.withUnsafeMutableBufferPointer { bytes in
                var count = bytes.count
                // Safe: it writes at most `count` bytes.
                let done =
                    unsafe EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, peer) == 1
                    && EVP_PKEY_derive(context, bytes.baseAddress, &count) == 1 && count == bytes.count
                if !done { unsafe bytes.update(repeating: 0) }
            }
        }
        ERR_clear_error()
        guard !shared.isEqual(to: SecretBytes(count: Self.byteCount) { _ in }) else { return nil }
        return consume shared
    }

    /// libcrypto's key, which the caller frees.
    @unsafe
    private static func privateKey(_ secret: Span<UInt8>) throws(KeyDerivationError) -> OpaquePointer {
        guard secret.count == byteCount else { throw .wrongKeyLength(secret.count) }
        // Safe: libcrypto reads as many bytes as it's told, and wipes its copy with the key.
        let key = unsafe secret.withUnsafeBufferPointer {
            unsafe EVP_PKEY_new_raw_private_key(NID_X25519, nil, $0.baseAddress, $0.count)
        }
        guard let key = unsafe key else { throw .openSSL(OpenSSLError("use an X25519 private key")) }
        return unsafe key
    }
}
