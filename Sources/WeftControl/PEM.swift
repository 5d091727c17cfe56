// SPDX-License-Identifier: Apache-2.0

/// The textual encoding of a private key (RFC 7468, section 10), written without leaving a copy behind.
enum PEM {
    private static let header = Array("-----BEGIN PRIVATE KEY-----\n".utf8)
    private static let footer = Array("-----END PRIVATE KEY-----\n".utf8)
    /// Bytes that fill one line of 64 characters.
    private static let bytesPerLine = 48

    static func encode(_ der: Span<UInt8>) -> SecretBytes {
        let lineCount = (der.count + bytesPerLine - 1) / bytesPerLine
        let bodyCount = Base64.encodedByteCount(der.count) + lineCount
        return SecretBytes(count: header.count + bodyCount + footer.count) { text in
            var offset = 0
            func append(_ bytes: [UInt8], to text: inout MutableSpan<UInt8>) {
                for byte in bytes {
                    text[offset] = byte
                    offset += 1
                }
            }
            append(header, to: &text)
            for start in stride(from: 0, to: der.count, by: bytesPerLine) {
                let line = der.extracting(start..<min(start + bytesPerLine, der.count))
                let lineEnd = offset + Base64.encodedByteCount(line.count)
                // One more for the zero byte, which the newline then replaces.
                var room = text.part(offset..<lineEnd + 1)
                Base64.encode(line, into: &room)
                offset = lineEnd
                append([UInt8(ascii: "\n")], to: &text)
            }
            append(footer, to: &text)
        }
    }
}
