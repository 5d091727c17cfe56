// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Weft

/// The functions that turn one secret into another.
enum KeyDerivation {
    static let cmacByteCount = 16
    static let hmacByteCount = 32

    /// AES-CMAC (RFC 4493) with a key of 16, 24 or 32 bytes; `tag` has ``cmacByteCount`` bytes.
    static func cmac(
        key: Span<UInt8>, message: Span<UInt8>, into tag: inout MutableSpan<UInt8>
    ) throws(KeyDerivationError) {
        guard [16, 24, 32].contains(key.count) else { throw .wrongKeyLength(key.count) }
        // Safe: each pointer goes with its own count and is used only during the call.
        let done = unsafe key.withUnsafeBufferPointer { key in
            unsafe message.withUnsafeBufferPointer { message in
                unsafe tag.withUnsafeMutableBufferPointer { tag in
                    var written = 0
                    let result = unsafe EVP_Q_mac(
                        nil, "CMAC", nil, "AES-\(key.count * 8)-CBC", nil, key.baseAddress, key.count,
                        message.baseAddress, message.count, tag.baseAddress, tag.count, &written)
                    return unsafe result != nil && written == cmacByteCount
                }
            }
        }
        guard done else { throw .openSSL(OpenSSLError("compute an AES-CMAC")) }
    }

    /// HMAC with SHA-256 (RFC 2104).
    static func hmac(key: Span<UInt8>, message: Span<UInt8>) throws(KeyDerivationError) -> SecretBytes {
        try SecretBytes(count: hmacByteCount) { bytes throws(KeyDerivationError) in
            // Safe: each pointer goes with its own count and is used only during the call.
            let done = unsafe key.withUnsafeBufferPointer { key in
                unsafe message.withUnsafeBufferPointer { message in
                    unsafe bytes.withUnsafeMutableBufferPointer { bytes in
                        var written = 0
                        let result = unsafe EVP_Q_mac(
                            nil, "HMAC", nil, "SHA256", nil, key.baseAddress, key.count,
                            message.baseAddress, message.count, bytes.baseAddress, bytes.count, &written)
                        return unsafe result != nil && written == hmacByteCount
                    }
                }
            }
            guard done else { throw .openSSL(OpenSSLError("compute an HMAC")) }
        }
    }

    /// HKDF with SHA-256 and no salt (RFC 5869); `count` is at most 255 × 32.
    static func hkdf(
        secret: Span<UInt8>, info: Span<UInt8>, count: Int
    ) throws(KeyDerivationError) -> SecretBytes {
        try hkdf(secret: secret, info: info, count: count, mode: EVP_PKEY_HKDEF_MODE_EXTRACT_AND_EXPAND)
    }

    /// HKDF with SHA-256 and a secret salt, of at least one byte.
    ///
    /// The first half is an HMAC of ours: libcrypto's copy of a salt isn't wiped.
    static func hkdf(
        secret: Span<UInt8>, salt: Span<UInt8>, info: Span<UInt8>, count: Int
    ) throws(KeyDerivationError) -> SecretBytes {
        let key = try hmac(key: salt, message: secret)
        return try hkdf(secret: key.span, info: info, count: count, mode: EVP_PKEY_HKDEF_MODE_EXPAND_ONLY)
    }

    /// By way of EVP_PKEY: its setters copy what they get, whereas EVP_KDF's parameters keep pointers.
    private static func hkdf(
        secret: Span<UInt8>, info: Span<UInt8>, count: Int, mode: Int32
    ) throws(KeyDerivationError) -> SecretBytes {
        try SecretBytes(count: count) { bytes throws(KeyDerivationError) in
            let context = unsafe EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nil)
            defer { unsafe EVP_PKEY_CTX_free(context) }
            // Safe: each pointer goes with its own count and is used only during the calls; a null context is refused.
            let done = unsafe secret.withUnsafeBufferPointer { secret in
                unsafe info.withUnsafeBufferPointer { info in
                    unsafe bytes.withUnsafeMutableBufferPointer { bytes in
                        var written = bytes.count
                        return unsafe EVP_PKEY_derive_init(context) == 1
                            && EVP_PKEY_CTX_set_hkdf_mode(context, mode) == 1
                            && EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1
                            && EVP_PKEY_CTX_set1_hkdf_key(context, secret.baseAddress, Int32(clamping: secret.count))
                                == 1
                            && EVP_PKEY_CTX_add1_hkdf_info(context, info.baseAddress, Int32(clamping: info.count)) == 1
                            && EVP_PKEY_derive(context, bytes.baseAddress, &written) == 1 && written == bytes.count
                    }
                }
            }
            guard done else { throw .openSSL(OpenSSLError("derive a key with HKDF")) }
        }
    }

    /// An SA's key: SP 800-108 in counter mode over AES-256-CMAC, as PSP prescribes.
    ///
    /// Block i, from 1, is CMAC(be32(i) ‖ label ‖ be32(SPI) ‖ be32(bits of the key)). The master key has 32 bytes. The
    /// SPI isn't checked here: ``SPI`` does that.
    static func saKey(
        masterKey: borrowing SecretBytes, spi: UInt32, suite: Suite
    ) throws(KeyDerivationError) -> SecretBytes {
        guard masterKey.count == MasterKeys.keyByteCount else { throw .wrongKeyLength(masterKey.count) }
        // The label is "Pv0\0" or "Pv1\0".
        let fixed = [0x50, 0x76, 0x30 + suite.rawValue, 0] + bigEndian(spi) + bigEndian(UInt32(suite.keyLength * 8))
        let masterKey = masterKey.span
        return try SecretBytes(count: suite.keyLength) { bytes throws(KeyDerivationError) in
            for block in 0..<suite.keyLength / cmacByteCount {
                let message = bigEndian(UInt32(block + 1)) + fixed
                var tag = bytes.part(block * cmacByteCount..<(block + 1) * cmacByteCount)
                try cmac(key: masterKey, message: message.span, into: &tag)
            }
        }
    }
}
