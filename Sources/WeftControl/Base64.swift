// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL

/// Base64 with padding (RFC 4648, section 4).
package enum Base64 {
    /// Bytes that `count` bytes take when encoded.
    static func encodedByteCount(_ count: Int) -> Int { (count + 2) / 3 * 4 }

    package static func encode(_ bytes: [UInt8]) -> String {
        // EVP_EncodeBlock ends its text with a zero byte.
        var text = [UInt8](repeating: 0, count: encodedByteCount(bytes.count) + 1)
        var space = text.mutableSpan
        encode(bytes.span, into: &space)
        return String(decoding: text.dropLast(), as: UTF8.self)
    }

    /// Writes the text and a zero byte, and nothing if `text` has less room than that.
    static func encode(_ bytes: Span<UInt8>, into text: inout MutableSpan<UInt8>) {
        guard text.count > encodedByteCount(bytes.count) else { return }
        unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe text.withUnsafeMutableBufferPointer { text in
                // Safe: there is room for the text and its zero byte, as was just checked.
                _ = unsafe EVP_EncodeBlock(text.baseAddress, bytes.baseAddress, Int32(clamping: bytes.count))
            }
        }
    }

    /// The bytes of a text, or nil unless it's exactly what ``encode(_:)`` writes, apart from white space around it.
    static func decode(_ text: String) -> [UInt8]? {
        let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) }
        let digits = Array(text.utf8.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
        guard !digits.isEmpty, digits.count % 4 == 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: digits.count / 4 * 3)
        let count = unsafe digits.withUnsafeBufferPointer { digits in
            unsafe bytes.withUnsafeMutableBufferPointer { bytes in
                // Safe: four digits give three bytes, and there is room for as many.
                unsafe EVP_DecodeBlock(bytes.baseAddress, digits.baseAddress, Int32(clamping: digits.count))
            }
        }
        guard count == bytes.count else { return nil }
        // EVP_DecodeBlock counts padding as zero bytes.
        bytes.removeLast(digits.suffix(2).count { $0 == UInt8(ascii: "=") })
        // Digits that it takes for others, and stray bits before the padding, show here.
        return encode(bytes).utf8.elementsEqual(digits) ? bytes : nil
    }
}

extension SecretBytes {
    /// Decodes base64 with padding (RFC 4648, section 4) without a copy anywhere else; nil unless the text is the one that
    /// stands for `count` bytes.
    package init?(base64 text: Span<UInt8>, count: Int) {
        let digits = (count * 8 + 5) / 6
        guard count > 0, text.count == Base64.encodedByteCount(count),
            (digits..<text.count).allSatisfy({ text[$0] == UInt8(ascii: "=") })
        else { return nil }
        struct NotCanonical: Error {}
        do throws(NotCanonical) {
            try self.init(count: count) { bytes throws(NotCanonical) in
                var bits: UInt32 = 0
                var pending: UInt32 = 0
                var written = 0
                for index in 0..<digits {
                    guard let digit = Base64.value(of: text[index]) else { throw NotCanonical() }
                    bits = bits << 6 | digit
                    pending += 6
                    guard pending >= 8 else { continue }
                    pending -= 8
                    bytes[written] = UInt8(truncatingIfNeeded: bits >> pending)
                    written += 1
                }
                // What is left stands for nothing, and is zero in the one text.
                guard bits & (1 << pending - 1) == 0 else { throw NotCanonical() }
            }
        } catch {
            return nil
        }
    }
}

extension Base64 {
    fileprivate static func value(of digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
