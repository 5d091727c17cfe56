// SPDX-License-Identifier: Apache-2.0
import Testing

/// A private key that is no identity. Test keys, made for this file, and shown by name as a matter of habit.
struct OtherKey: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let pem: String

    init(_ name: String, _ pem: String) {
        testDescription = name
        self.pem = pem
    }

    /// Not PKCS#8, or encrypted, or nothing at all.
    static let notPEM = [
        OtherKey("nothing", ""),
        OtherKey("a newline", "\n"),
        OtherKey("an empty block", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"),
        OtherKey("three zero bytes", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        OtherKey("SEC 1", sec1),
        OtherKey("encrypted PKCS#8", encryptedPKCS8),
        OtherKey("encrypted SEC 1", encryptedSEC1),
        OtherKey("encrypted by header", encryptedByHeader),
        OtherKey("a public key", publicKey),
        OtherKey("mismatched halves", mismatched),
    ]

    /// PKCS#8, but on another curve, of another kind, or in another form.
    static let notP256 = [
        OtherKey("P-384", p384),
        OtherKey("Ed25519", ed25519),
        OtherKey("a compressed point", compressedPoint),
        OtherKey("explicit parameters", explicitParameters),
    ]

    private static let sec1 = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIOXkSlpG1bEjBM5hm99YAZzAmh73BE+Ekk1NkvZItj+7oAoGCCqGSM49
        AwEHoUQDQgAEkMYFOvRYrGW6+UmDaIzwYr3smBbYavS2TlnSSt4SfjgOVmHyROaq
        XfUGZqqrcF1a0sPhH9/QBdzmAVBDIzBLRw==
        -----END EC PRIVATE KEY-----

        """
    private static let encryptedPKCS8 = """
        -----BEGIN ENCRYPTED PRIVATE KEY-----
        MIHrMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAiNMYszI4QYngIBATAM
        BggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBAgQQVvh7ZhoO+NwIcH/dYcWJEASBkFzc
        ao8uNsGcjw6Gb4+Uqsif1CDWcIP1pTB/t1MGmzthjIXcDRe9XwuPe7/5Gg98Zlq3
        qkJF0Jc4ZY7gLYh12wasw3MWmQKwBTY9QAydkQDatnltPY7wgPfPUxPtcaaND9T4
        RN6Z3Jhffd8oDnMYWLXbiUzxGwcpcJHiZegndSFUqG3ONVrwlMIuXr39Exo7AA==
        -----END ENCRYPTED PRIVATE KEY-----

        """
    private static let encryptedSEC1 = """
        -----BEGIN EC PRIVATE KEY-----
        Proc-Type: 4,ENCRYPTED
        DEK-Info: AES-128-CBC,10F20131482B9D5BE53E7970697F4DD7

        ns+k+ir3OJ3g5GrFvDZg4O7bpIkj7o7ID6jSUzf7EdmxMT6u3n42WV69BGLDU/g5
        2K/znuqKYnKXwe/8ywfLOEChy5oP8LmazvP4EbCkIzGEDMRtk7ZJ3Sg6umnLXMcN
        t6JrGS9esjhVHGn+kKVFlTZ822pE8zXFHKJVfttyQi0=
        -----END EC PRIVATE KEY-----

        """
    /// A header that would make libcrypto ask for a passphrase, were it let.
    private static let encryptedByHeader = encryptedSEC1.replacing("EC PRIVATE", with: "PRIVATE")
    private static let publicKey = """
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEkMYFOvRYrGW6+UmDaIzwYr3smBbY
        avS2TlnSSt4SfjgOVmHyROaqXfUGZqqrcF1a0sPhH9/QBdzmAVBDIzBLRw==
        -----END PUBLIC KEY-----

        """
    /// The private number of one key with the public point of another: identity_a's and identity_b's.
    private static let mismatched = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQ0RupHwTqG8QxkA7
        yX2mALZlXZWEGWUdWFUxKBs1kPqhRANCAASMZdyynhmGZ4k94QS3DMVcAyGP58cC
        RtjWd32nQf/VSTPq8CxCout2AI8GCLif1aMw6dPlpVd9sWIcGlG5A86O
        -----END PRIVATE KEY-----

        """

    private static let p384 = """
        -----BEGIN PRIVATE KEY-----
        MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDOpVbCnxrCzfsvbKwC
        fPRGoa5k5cit2vQJwJmST5y7Hy9XchI+9vUlEfr/W9gIQrKhZANiAAQEBGMhy5Vf
        5w8+KGj6TGfaobDUwoIqH8NlHZ3TTTGMlMncu/xv7CXJ8cIW0ZYM1hmnnPavquT8
        N2b0w/dOpPDQIhM65Lo8mzvvt0pULUgDe1KXxeqAjFJmP5E+yQ7KxqU=
        -----END PRIVATE KEY-----

        """
    private static let ed25519 = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEILzlTlz3OY8RezJPqH5l9wb+cim1iOIKkilTkTovRlio
        -----END PRIVATE KEY-----

        """
    private static let compressedPoint = """
        -----BEGIN PRIVATE KEY-----
        MGcCAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcETTBLAgEBBCDl5EpaRtWxIwTOYZvf
        WAGcwJoe9wRPhJJNTZL2SLY/u6EkAyIAA5DGBTr0WKxluvlJg2iM8GK97JgW2Gr0
        tk5Z0kreEn44
        -----END PRIVATE KEY-----

        """
    private static let explicitParameters = """
        -----BEGIN PRIVATE KEY-----
        MIIBeQIBADCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAAB
        AAAAAAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA
        ///////////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMV
        AMSdNgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg
        9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8A
        AAAA//////////+85vqtpxeehPO5ysL8YyVRAgEBBG0wawIBAQQg5eRKWkbVsSME
        zmGb31gBnMCaHvcET4SSTU2S9ki2P7uhRANCAASQxgU69FisZbr5SYNojPBiveyY
        Fthq9LZOWdJK3hJ+OA5WYfJE5qpd9QZmqqtwXVrSw+Ef39AF3OYBUEMjMEtH
        -----END PRIVATE KEY-----

        """
}
