// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a datagram to a resolver may be (RFC 1035, section 4.1.1): one question, and nothing but its options behind it.
public enum DNSQuestion {
    /// Bytes of the longest one: a header, the longest name, its type and class, and options.
    public static let longest = 512
    /// Bytes of the longest answer that is taken. Resolvers are told to send no more than 1,232.
    public static let longestAnswer = 4096
    private static let header = 12

    /// Whether a datagram can be a question.
    public static func isOne(_ bytes: [UInt8]) -> Bool {
        guard bytes.count > header + 4, bytes.count <= longest else { return false }
        // No response, an ordinary query, not cut off; one question, no answer, no authority.
        return bytes[2] & 0b1111_1010 == 0 && bytes[4...9].elementsEqual([0, 1, 0, 0, 0, 0])
    }
}
