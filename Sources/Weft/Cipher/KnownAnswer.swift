// SPDX-License-Identifier: Apache-2.0

extension PacketCipher {
    /// Whether the cipher seals, opens and refuses test cases 4 and 16 of "The Galois/Counter Mode of Operation"
    /// (McGrew and Viega, appendix B) as it must.
    mutating func knowsItsVectors() throws(EngineError) -> Bool {
        for (suite, text, tag) in [
            (Suite.aes128GCM, Self.text128, Self.tag128), (.aes256GCM, Self.text256, Self.tag256),
        ] {
            let bytes = Self.key(of: suite)
            let key = unsafe try PacketKey(bytes.span.bytes)
            var sealed = [UInt8](repeating: 0, count: Self.plaintext.count + Geneve.tagLength)
            guard transform(key, from: Self.plaintext, to: &sealed, sealing: true), sealed == text + tag else {
                return false
            }
            var opened = [UInt8](repeating: 0, count: Self.plaintext.count)
            guard transform(key, from: sealed, to: &opened, sealing: false), opened == Self.plaintext else {
                return false
            }
            sealed[sealed.count - 1] ^= 1
            guard !transform(key, from: sealed, to: &opened, sealing: false) else { return false }
        }
        return true
    }

    private mutating func transform(
        _ key: PacketKey, from input: [UInt8], to output: inout [UInt8], sealing: Bool
    ) -> Bool {
        let count = Self.plaintext.count
        // Safe: the longer of the two arrays has room for the text and its tag, the other for the text.
        return unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                unsafe Self.nonce.withUnsafeBytes { nonce in
                    unsafe Self.associatedData.withUnsafeBytes { associated in
                        guard let source = source.baseAddress, let target = target.baseAddress,
                            let nonce = nonce.baseAddress, let data = associated.baseAddress
                        else { return false }
                        let job = unsafe Job(
                            key: key.reference, nonce: nonce, associatedData: data, associatedCount: associated.count,
                            input: source, output: target, count: count)
                        return unsafe sealing ? seal(job, tag: target + count) : open(job, tag: source + count)
                    }
                }
            }
        }
    }

    private static func key(of suite: Suite) -> [UInt8] {
        let half = bytes(0xFEFF_E992_8665_731C, 0x6D6A_8F94_6730_8308)
        return suite == .aes128GCM ? half : half + half
    }

    private static func bytes(_ words: UInt64...) -> [UInt8] {
        words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - $0 * 8)) } }
    }

    private static let nonce = Array(bytes(0xCAFE_BABE_FACE_DBAD, 0xDECA_F888_0000_0000)[..<12])
    private static let associatedData = Array(
        bytes(0xFEED_FACE_DEAD_BEEF, 0xFEED_FACE_DEAD_BEEF, 0xABAD_DAD2_0000_0000)[..<20])
    private static let plaintext = Array(
        bytes(
            0xD931_3225_F884_06E5, 0xA559_09C5_AFF5_269A, 0x86A7_A953_1534_F7DA, 0x2E4C_303D_8A31_8A72,
            0x1C3C_0C95_9568_0953, 0x2FCF_0E24_49A6_B525, 0xB16A_EDF5_AA0D_E657, 0xBA63_7B39_0000_0000)[..<60])
    private static let text128 = Array(
        bytes(
            0x4283_1EC2_2177_7424, 0x4B72_21B7_84D0_D49C, 0xE3AA_212F_2C02_A4E0, 0x35C1_7E23_29AC_A12E,
            0x21D5_14B2_5466_931C, 0x7D8F_6A5A_AC84_AA05, 0x1BA3_0B39_6A0A_AC97, 0x3D58_E091_0000_0000)[..<60])
    private static let tag128 = bytes(0x5BC9_4FBC_3221_A5DB, 0x94FA_E95A_E712_1A47)
    private static let text256 = Array(
        bytes(
            0x522D_C1F0_9956_7D07, 0xF47F_37A3_2A84_427D, 0x643A_8CDC_BFE5_C0C9, 0x7598_A2BD_2555_D1AA,
            0x8CB0_8E48_590D_BB3D, 0xA7B0_8B10_5682_8838, 0xC5F6_1E63_93BA_7A0A, 0xBCC9_F662_0000_0000)[..<60])
    private static let tag256 = bytes(0x76FC_6ECE_0F4E_1768, 0xCDDF_8853_BB2D_551B)
}
