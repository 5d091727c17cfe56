// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Glibc
import Weft
import WeftControl

/// The key that all agents of a fleet share: it says that a probe or an answer is from one of them.
public struct FleetKey: ~Copyable, Sendable {
    /// How many bytes a key has.
    public static let byteCount = 32
    static let tagByteCount = 32
    private let bytes: SecretBytes

    /// Reads a key file: 64 hexadecimal digits, in a regular file that only its owner has any right to.
    public init(contentsOf path: String) throws(MapFileError) {
        // A named pipe would otherwise keep us waiting for its writer.
        let raw = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard raw >= 0 else {
            throw MapFileError(path, "the fleet key cannot be read: \(SystemCall.message(errno))")
        }
        let file = FileDescriptor(owning: raw)
        var status = stat()
        // SAFETY: the kernel fills a structure that outlives the call.
        guard unsafe fstat(file.raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw MapFileError(path, "the fleet key is no regular file")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw MapFileError(path, "others have access to the fleet key: chmod 600 \(path)")
        }
        let digits = SecretBytes(count: Self.byteCount * 2 + 2) { bytes in
            // SAFETY: the kernel writes at most the count that goes with the pointer.
            _ = unsafe bytes.withUnsafeMutableBytes { unsafe read(file.raw, $0.baseAddress, $0.count) }
        }
        let text = digits.span
        var isKey = text[Self.byteCount * 2] == 0 || text[Self.byteCount * 2] == UInt8(ascii: "\n")
        isKey = isKey && text[Self.byteCount * 2 + 1] == 0
        let key = SecretBytes(count: Self.byteCount) { bytes in
            for index in 0..<Self.byteCount {
                let high = Self.digit(text[2 * index]), low = Self.digit(text[2 * index + 1])
                isKey = isKey && high != nil && low != nil
                bytes[index] = (high ?? 0) << 4 | (low ?? 0)
            }
        }
        guard isKey else {
            throw MapFileError(path, "a fleet key is 64 hexadecimal digits: `weft tunnel-map genkey` prints one")
        }
        bytes = key
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
