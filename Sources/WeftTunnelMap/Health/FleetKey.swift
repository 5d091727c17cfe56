// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Weft
import WeftControl
import WeftFiles

/// The key that all agents of a fleet share: it says that a probe or an answer is from one of them.
public struct FleetKey: ~Copyable, Sendable {
    /// How many bytes a key has.
    public static let byteCount = 32
    static let tagByteCount = 32
    private let bytes: SecretBytes

    /// Reads a key file: 64 hexadecimal digits, in a regular file that only its owner has any right to.
    public init(contentsOf path: String) throws(MapFileError) {
        let digits: SecretBytes
        do throws(FileRefusal) {
            digits = try Self.digits(path)
        } catch {
            throw MapFileError(path, error)
        }
        let text = digits.span
        var isKey = text.count == Self.byteCount * 2
        isKey = isKey || text.count == Self.byteCount * 2 + 1 && text[Self.byteCount * 2] == UInt8(ascii: "\n")
        let key = SecretBytes(count: Self.byteCount) { bytes in
            for index in 0..<Self.byteCount where isKey {
                let high = Self.digit(text[2 * index]), low = Self.digit(text[2 * index + 1])
                isKey = high != nil && low != nil
                bytes[index] = (high ?? 0) << 4 | (low ?? 0)
            }
        }
        guard isKey else {
            throw MapFileError(path, "a fleet key is 64 hexadecimal digits: `weft tunnel-map genkey` prints one")
        }
        bytes = key
    }

    /// What the file has; nothing if it is too long for a key.
    private static func digits(_ path: String) throws(FileRefusal) -> SecretBytes {
        let trust = FileTrust.caller
        let file = try trust.open(path)
        let status = try trust.judge(file.raw, called: path)
        guard status.mode & 0o077 == 0 else { throw .readable(path: path, mode: status.mode) }
        let size = status.size <= byteCount * 2 + 1 ? status.size : 0
        guard size > 0 else { return SecretBytes(count: 0) { _ in } }
        return try SecretBytes(count: size) { bytes throws(FileRefusal) in
            try FileContents.read(file.raw, into: &bytes, called: path)
        }
    }

    init(copying key: Span<UInt8>) { bytes = SecretBytes(copying: key) }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// HMAC-SHA-256 (RFC 2104, FIPS 180-4) of a message; nil if OpenSSL fails.
    func tag(over message: Span<UInt8>) -> [UInt8]? {
        let key = bytes.span
        var tag = [UInt8](repeating: 0, count: Self.tagByteCount)
        var written = 0
        // SAFETY: each pointer goes with its own count and is used only during the call.
        let result = unsafe key.withUnsafeBufferPointer { key in
            unsafe message.withUnsafeBufferPointer { message in
                unsafe tag.withUnsafeMutableBufferPointer { tag in
                    unsafe EVP_Q_mac(
                        nil, "HMAC", nil, "SHA256", nil, key.baseAddress, key.count, message.baseAddress, message.count,
                        tag.baseAddress, tag.count, &written) != nil
                }
            }
        }
        return result && written == Self.tagByteCount ? tag : nil
    }

    /// Compares in a time that depends on the lengths only.
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
