// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL

/// AES-GCM through OpenSSL's EVP interface, which is on every machine.
///
/// A context keeps an expanded key; one context for each direction is reused as long as the key stays the same, which
/// is most of a batch.
@safe
struct OpenSSLCipher: ~Copyable {
    private let sealing: OpaquePointer
    private let opening: OpaquePointer
    private var sealingKey: UInt64 = 0
    private var openingKey: UInt64 = 0

    static var name: String {
        unsafe OpenSSL_version(OPENSSL_VERSION_STRING).map { "OpenSSL \(unsafe String(cString: $0))" } ?? "OpenSSL"
    }

    init?() {
        guard let sealing = unsafe EVP_CIPHER_CTX_new() else { return nil }
        guard let opening = unsafe EVP_CIPHER_CTX_new() else {
            unsafe EVP_CIPHER_CTX_free(sealing)
            return nil
        }
        unsafe self.sealing = sealing
        unsafe self.opening = opening
    }

    /// Freeing a context wipes it.
    deinit {
        unsafe EVP_CIPHER_CTX_free(sealing)
        unsafe EVP_CIPHER_CTX_free(opening)
    }

    /// Wipes the expanded keys that the contexts keep; the next packet expands its key again.
    mutating func forgetKeys() {
        unsafe EVP_CIPHER_CTX_reset(sealing)
        unsafe EVP_CIPHER_CTX_reset(opening)
        sealingKey = 0
        openingKey = 0
    }

    private static func cipher(_ suite: Suite) -> OpaquePointer? {
        unsafe suite == .aes128GCM ? EVP_aes_128_gcm() : EVP_aes_256_gcm()
    }

    mutating func seal(_ job: PacketCipher.Job, tag: UnsafeMutableRawPointer) -> Bool {
        let nonce = unsafe job.nonce.assumingMemoryBound(to: UInt8.self)
        let isNewKey = unsafe sealingKey != job.key.serial
        sealingKey = 0
        var written: Int32 = 0
        var last: Int32 = 0
        guard
            unsafe EVP_EncryptInit_ex(
                sealing, isNewKey ? Self.cipher(job.key.suite) : nil, nil, isNewKey ? job.key.raw : nil, nonce) == 1,
            unsafe EVP_EncryptUpdate(
                sealing, nil, &written, job.associatedData.assumingMemoryBound(to: UInt8.self),
                Int32(job.associatedCount)) == 1,
            unsafe EVP_EncryptUpdate(
                sealing, job.output.assumingMemoryBound(to: UInt8.self), &written,
                job.input.assumingMemoryBound(to: UInt8.self), Int32(job.count)) == 1,
            unsafe EVP_EncryptFinal_ex(
                sealing, job.output.assumingMemoryBound(to: UInt8.self) + Int(written), &last) == 1,
            unsafe EVP_CIPHER_CTX_ctrl(sealing, EVP_CTRL_AEAD_GET_TAG, Int32(Geneve.tagLength), tag) == 1
        else { return false }
        sealingKey = unsafe job.key.serial
        return true
    }

    mutating func open(_ job: PacketCipher.Job, tag: UnsafeRawPointer) -> Bool {
        let nonce = unsafe job.nonce.assumingMemoryBound(to: UInt8.self)
        let isNewKey = unsafe openingKey != job.key.serial
        openingKey = 0
        var written: Int32 = 0
        var last: Int32 = 0
        // The tag is only read, though the interface's pointer is mutable.
        guard
            unsafe EVP_DecryptInit_ex(
                opening, isNewKey ? Self.cipher(job.key.suite) : nil, nil, isNewKey ? job.key.raw : nil, nonce) == 1,
            unsafe EVP_DecryptUpdate(
                opening, nil, &written, job.associatedData.assumingMemoryBound(to: UInt8.self),
                Int32(job.associatedCount)) == 1,
            unsafe EVP_DecryptUpdate(
                opening, job.output.assumingMemoryBound(to: UInt8.self), &written,
                job.input.assumingMemoryBound(to: UInt8.self), Int32(job.count)) == 1,
            unsafe EVP_CIPHER_CTX_ctrl(
                opening, EVP_CTRL_AEAD_SET_TAG, Int32(Geneve.tagLength), UnsafeMutableRawPointer(mutating: tag)) == 1
        else { return false }
        openingKey = unsafe job.key.serial
        // Compares the tag in constant time.
        return unsafe EVP_DecryptFinal_ex(
            opening, job.output.assumingMemoryBound(to: UInt8.self) + Int(written), &last) == 1
    }
}
