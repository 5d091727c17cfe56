// SPDX-License-Identifier: Apache-2.0
import Glibc

/// An IPv4 or IPv6 address, as plain bits.
///
/// The bits are left-aligned in 128: an IPv4 address stands in the top 32 bits of `high`, so that one trie, one
/// comparison and one mask serve both families. An IPv4-mapped IPv6 address is an IPv6 address here.
public struct IPAddress: Hashable, Sendable, BitwiseCopyable {
    /// The address family, with the version number of the IP header as raw value.
    public enum Family: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
        case v4 = 4
        case v6 = 6

        /// Bits in an address of this family: 32 or 128.
        public var bitWidth: Int { self == .v4 ? 32 : 128 }
    }

    public let family: Family
    /// The first 64 bits, left-aligned.
    public let high: UInt64
    /// The last 64 bits; zero for IPv4.
    public let low: UInt64

    /// An IPv4 address from its 32 bits in host order.
    @inlinable
    public init(v4 bits: UInt32) {
        family = .v4
        high = UInt64(bits) << 32
        low = 0
    }

    /// An IPv6 address from its two halves in host order.
    @inlinable
    public init(v6 high: UInt64, _ low: UInt64) {
        family = .v6
        self.high = high
        self.low = low
    }

    /// The 32 bits of an IPv4 address in host order; meaningless for IPv6.
    @inlinable
    public var v4Bits: UInt32 { UInt32(truncatingIfNeeded: high >> 32) }

    /// Parses dotted decimal (RFC 6943, strict form) or RFC 4291 text. No zone, no brackets.
    public init?(_ text: some StringProtocol) {
        let text = String(text)
        // C would stop reading at a NUL.
        guard !text.utf8.contains(0) else { return nil }
        var v4 = in_addr()
        if unsafe inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: UInt32(bigEndian: v4.s_addr))
            return
        }
        var v6: (UInt64, UInt64) = (0, 0)
        guard unsafe inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self.init(v6: UInt64(bigEndian: v6.0), UInt64(bigEndian: v6.1))
    }

    /// The address's bytes in network order: 4 or 16 of them.
    public var bytes: [UInt8] {
        (0..<family.bitWidth / 8).map { index in
            let word = index < 8 ? high : low
            return UInt8(truncatingIfNeeded: word >> UInt64(56 - (index % 8) * 8))
        }
    }

    /// Whether this is the unspecified address, 0.0.0.0 or `::`.
    public var isUnspecified: Bool { high == 0 && low == 0 }

    /// Whether it leads back to the host that sends to it: 127.0.0.0/8 (RFC 1122 section 3.2.1.3) or `::1`.
    public var isLoopback: Bool { family == .v4 ? high >> 56 == 127 : high == 0 && low == 1 }

    /// Whether it is of fe80::/10 (RFC 4291 section 2.5.6), which means something only together with a link's name.
    public var isLinkLocal: Bool { family == .v6 && high >> 54 == 0xFE80 >> 6 }

    /// Whether it is an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), which sockets take for the IPv4 one.
    public var isMapped: Bool { family == .v6 && high == 0 && low >> 32 == 0xFFFF }

    /// Whether it may be one host's: neither unspecified nor multicast (RFC 5771, RFC 4291 section 2.7), nor of the reserved
    /// IPv4 addresses above (RFC 1112 section 4), of which the last is all hosts'.
    @inlinable
    public var isUnicast: Bool {
        guard high != 0 || low != 0 else { return false }
        return family == .v4 ? high >> 60 < 0xE : high >> 56 != 0xFF
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted decimal, or RFC 5952 text.
    public var description: String {
        switch family {
        case .v4:
            return bytes.map(String.init).joined(separator: ".")
        case .v6:
            var bits = (high.bigEndian, low.bigEndian)
            var text = InlineArray<46, CChar>(repeating: 0)
            var span = text.mutableSpan
            return unsafe span.withUnsafeMutableBufferPointer { buffer in
                guard let base = buffer.baseAddress,
                    let result = unsafe inet_ntop(AF_INET6, &bits, base, socklen_t(buffer.count))
                else { return "?" }
                return unsafe String(cString: result)
            }
        }
    }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then numerically.
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        (left.family.rawValue, left.high, left.low) < (right.family.rawValue, right.high, right.low)
    }
}
