// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Glibc

#if canImport(CWeftIPSecMB)
    import CWeftIPSecMB
#endif

/// Which implementation seals and opens.
public enum CipherChoice: Hashable, Sendable {
    /// ipsec-mb where it is present and answers right, else OpenSSL.
    case automatic
    case ipsecMB
    case openSSL
    /// Copies instead of sealing, for benchmarks that measure everything else.
    @_spi(Benchmarks) case none
}

/// One thread's cipher: seals and opens packets with keys that all threads share.
///
/// Everything here takes raw memory, since that is what the native libraries take; the engine's transforms are its
/// only callers and check every length before.
@safe
struct PacketCipher: ~Copyable, @unchecked Sendable {
    private let backend: Backend
    /// The implementation's name and version, for people.
    let name: String

    @unsafe
    private enum Backend {
        #if canImport(CWeftIPSecMB)
            case ipsecMB(IPSecMB.Transforms, UnsafeMutablePointer<gcm_context_data>)
        #endif
        case openSSL(UnsafeMutablePointer<OpenSSLCipher>)
        case none
    }

    private init(_ backend: Backend, name: String) {
        unsafe self.backend = backend
        self.name = name
    }

    /// The cipher of a choice, once it has answered a known vector right.
    static func make(_ choice: CipherChoice) throws(EngineError) -> PacketCipher {
        if choice == .none { return unsafe PacketCipher(.none, name: "none") }
        if choice != .openSSL, var cipher = ipsecMB() {
            if try cipher.knowsItsVectors() { return cipher }
            guard choice == .automatic else { throw .noCipher("ipsec-mb gives wrong answers") }
        }
        guard choice != .ipsecMB else { throw .noCipher("ipsec-mb is not available on this machine") }
        guard let openSSL = OpenSSLCipher() else { throw .noCipher("OpenSSL has no AES-GCM") }
        let storage = UnsafeMutablePointer<OpenSSLCipher>.allocate(capacity: 1)
        unsafe storage.initialize(to: openSSL)
        var cipher = unsafe PacketCipher(.openSSL(storage), name: OpenSSLCipher.name)
        guard try cipher.knowsItsVectors() else { throw .noCipher("OpenSSL gives wrong answers") }
        return cipher
    }

    private static func ipsecMB() -> PacketCipher? {
        #if canImport(CWeftIPSecMB)
            guard let library = IPSecMB.shared else { return nil }
            let context = UnsafeMutablePointer<gcm_context_data>.allocate(capacity: 1)
            unsafe context.initialize(to: gcm_context_data())
            return unsafe PacketCipher(.ipsecMB(library.transforms, context), name: library.name)
        #else
            return nil
        #endif
    }

    deinit {
        switch unsafe backend {
        #if canImport(CWeftIPSecMB)
            case .ipsecMB(_, let context):
                // The context holds hash state and key stream of the last packet.
                unsafe explicit_bzero(context, MemoryLayout<gcm_context_data>.size)
                unsafe context.deallocate()
        #endif
        case .openSSL(let storage):
            unsafe storage.deinitialize(count: 1)
            unsafe storage.deallocate()
        case .none: break
        }
    }

    /// Wipes what is kept of the keys used so far.
    mutating func forgetKeys() {
        switch unsafe backend {
        #if canImport(CWeftIPSecMB)
            case .ipsecMB(_, let context): unsafe explicit_bzero(context, MemoryLayout<gcm_context_data>.size)
        #endif
        case .openSSL(let storage): unsafe storage.pointee.forgetKeys()
        case .none: break
        }
    }

    /// One packet's memory. Input and output may be the same; other overlap is not allowed.
    @unsafe
    struct Job {
        let key: PacketKey.Reference
        /// 12 bytes.
        let nonce: UnsafeRawPointer
        let associatedData: UnsafeRawPointer
        let associatedCount: Int
        let input: UnsafeRawPointer
        let output: UnsafeMutableRawPointer
        /// Bytes of plaintext, and of ciphertext without its tag.
        let count: Int
    }

    /// Seals; writes the 16-byte tag to `tag`. False when the library failed, and then nothing may be sent.
    @inline(__always)
    mutating func seal(_ job: Job, tag: UnsafeMutableRawPointer) -> Bool {
        switch unsafe backend {
        #if canImport(CWeftIPSecMB)
            case .ipsecMB(let transforms, let context):
                let transform = unsafe job.key.suite == .aes128GCM ? transforms.seal128 : transforms.seal256
                unsafe Self.run(transform, context, job, tag: tag)
                return true
        #endif
        case .openSSL(let storage):
            return unsafe storage.pointee.seal(job, tag: tag)
        case .none:
            unsafe memmove(job.output, job.input, job.count)
            unsafe memset(tag, 0, Geneve.tagLength)
            return true
        }
    }

    /// Opens; compares the 16-byte tag at `tag` in constant time. False when it differs: the output is garbage then
    /// and must not be used.
    @inline(__always)
    mutating func open(_ job: Job, tag: UnsafeRawPointer) -> Bool {
        switch unsafe backend {
        #if canImport(CWeftIPSecMB)
            case .ipsecMB(let transforms, let context):
                // ipsec-mb's open returns the tag that it computed; it has not compared it.
                var computed = (0 as UInt64, 0 as UInt64)
                let transform = unsafe job.key.suite == .aes128GCM ? transforms.open128 : transforms.open256
                unsafe withUnsafeMutableBytes(of: &computed) { bytes in
                    guard let base = bytes.baseAddress else { return }
                    unsafe Self.run(transform, context, job, tag: base)
                }
                let difference = unsafe (computed.0 ^ tag.loadUnaligned(as: UInt64.self))
                let rest = unsafe (computed.1 ^ tag.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                return difference | rest == 0
        #endif
        case .openSSL(let storage):
            return unsafe storage.pointee.open(job, tag: tag)
        case .none:
            unsafe memmove(job.output, job.input, job.count)
            return true
        }
    }

    #if canImport(CWeftIPSecMB)
        @inline(__always)
        private static func run(
            _ transform: IPSecMB.Transform, _ context: UnsafeMutablePointer<gcm_context_data>, _ job: Job,
            tag: UnsafeMutableRawPointer
        ) {
            // Safe: the library reads and writes just the lengths that it is given; a key's cell holds gcm_key_data.
            unsafe transform(
                UnsafePointer(job.key.expanded.assumingMemoryBound(to: gcm_key_data.self)), context,
                job.output.assumingMemoryBound(to: UInt8.self), job.input.assumingMemoryBound(to: UInt8.self),
                UInt64(job.count), job.nonce.assumingMemoryBound(to: UInt8.self),
                job.associatedData.assumingMemoryBound(to: UInt8.self), UInt64(job.associatedCount),
                tag.assumingMemoryBound(to: UInt8.self), UInt64(Geneve.tagLength))
        }
    #endif
}
