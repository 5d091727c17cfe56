// SPDX-License-Identifier: Apache-2.0

/// Disco: a magic, the sender's public key, a nonce, and a sealed message.
enum Disco {
    /// `TS` and a speech balloon in UTF-8.
    static let magic: UInt64 = 0x5453_F09F_92AC
    static let magicLength = 6
    /// Magic, 32 bytes of key, 24 bytes of nonce.
    static let headerLength = magicLength + 32 + 24

    @inline(__always)
    static func isLike(_ packet: RawSpan) -> Bool {
        packet.byteCount >= headerLength && packet.load(at: 0, as: UInt64.self) >> 16 == magic
    }
}
