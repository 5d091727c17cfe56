// SPDX-License-Identifier: Apache-2.0
#if canImport(CWeftIPSecMB)
    import CWeftIPSecMB
    import CWeftOpenSSL
    import Glibc

    /// Intel's ipsec-mb, the fastest AES-GCM there is for x86: one manager serves every thread.
    @safe
    final class IPSecMB: @unchecked Sendable {
        /// Nil when the processor lacks what it needs, or it gives a wrong answer.
        static let shared = IPSecMB()

        typealias Transform = aes_gcm_enc_dec_t

        /// The transforms that fit the processor; good as long as the process lives.
        @safe
        struct Transforms {
            let seal128: Transform
            let seal256: Transform
            let open128: Transform
            let open256: Transform
        }

        private let manager: UnsafeMutablePointer<IMB_MGR>
        let transforms: Transforms
        private let expand128: aes_gcm_pre_t
        private let expand256: aes_gcm_pre_t
        /// Such as `ipsec-mb 1.3.0, AVX512`.
        let name: String

        private init?() {
            guard let manager = unsafe alloc_mb_mgr(0) else { return nil }
            var arch = IMB_ARCH_NONE
            unsafe init_mb_mgr_auto(manager, &arch)
            guard unsafe imb_get_errno(manager) == 0,
                let seal128 = unsafe manager.pointee.gcm128_enc, let seal256 = unsafe manager.pointee.gcm256_enc,
                let open128 = unsafe manager.pointee.gcm128_dec, let open256 = unsafe manager.pointee.gcm256_dec,
                let expand128 = unsafe manager.pointee.gcm128_pre, let expand256 = unsafe manager.pointee.gcm256_pre
            else {
                unsafe free_mb_mgr(manager)
                return nil
            }
            unsafe self.manager = manager
            unsafe transforms = Transforms(seal128: seal128, seal256: seal256, open128: open128, open256: open256)
            unsafe (self.expand128, self.expand256) = unsafe (expand128, expand256)
            let version = unsafe imb_get_version_str().map { unsafe String(cString: $0) } ?? "?"
            name = "ipsec-mb \(version), \(Self.name(of: arch))"
        }

        deinit { unsafe free_mb_mgr(manager) }

        /// Fills a key's expanded form from its raw one.
        func expand(_ key: PacketKey.Reference) {
            // Safe: a key's cell begins with room for gcm_key_data, on a cache line.
            let schedule = unsafe key.expanded.assumingMemoryBound(to: gcm_key_data.self)
            unsafe (key.suite == .aes128GCM ? expand128 : expand256)(key.raw, schedule)
        }

        private static func name(of arch: IMB_ARCH) -> String {
            switch arch {
            case IMB_ARCH_AVX512: "AVX512"
            case IMB_ARCH_AVX2: "AVX2"
            case IMB_ARCH_AVX: "AVX"
            case IMB_ARCH_SSE: "SSE"
            default: "no AES-NI"
            }
        }
    }
#endif
