// SPDX-License-Identifier: Apache-2.0

/// Times and sizes of ICX's control plane, and ours where it names none.
enum QUICRules {
    static let handshakeTimeout: UInt64 = 10_000_000_000
    /// How long a caller may take over its ClientHello.
    static let helloPatience = Duration.seconds(3)
    /// How long the other end may take to say what it can do once the handshake is done.
    static let greetingPatience = Duration.seconds(5)
    static let idleTimeout: UInt64 = 30_000_000_000
    static let keepAlive: UInt64 = 10_000_000_000
    /// How soon a probe goes out.
    static let probeDelay: UInt64 = 1_000_000
    /// What the first retransmissions go by: a peer that comes back is found within the doubled gaps of one attempt.
    static let initialRoundTrip: UInt64 = 100_000_000
    /// How long a closed session's ids stay known, so that what is still on its way is no reason for a reset.
    static let closingTime: UInt64 = 1_000_000_000
    /// Bytes in the longest datagram that we send; what every path carries (RFC 9000, section 14).
    static let datagramByteCount = 1200
    /// Bytes that a peer may send on a stream before we have read any: four times a frame.
    static let streamWindow: UInt64 = 16 * 1024
    /// Bytes on all streams together.
    static let sessionWindow: UInt64 = 256 * 1024
}
