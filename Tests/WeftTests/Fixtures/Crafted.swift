// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Weft

/// A datagram that is sealed with a true key but may be wrong in every other way.
struct Crafted {
    var version: UInt8 = 0
    var flags: UInt8 = 0x40
    var protocolType: UInt16 = EtherType.ipv4
    var vni = End.vni
    /// The option list; made from `spi`, `nonceSPI` and `counter` when nil.
    var options: [UInt8]?
    var spi: UInt32
    var nonceSPI: UInt32
    var counter: UInt64 = 1
    var inner: [UInt8]
    let key: [UInt8]

    /// As `side` would seal `inner` under an epoch.
    init(from side: End.Side, epoch: UInt32 = 1, _ inner: [UInt8]) {
        spi = Keys.spi(side, epoch: epoch)
        nonceSPI = spi
        key = Keys.bytes(side, epoch: epoch)
        self.inner = inner
        if let first = inner.first, first >> 4 == 6 { protocolType = EtherType.ipv6 }
    }

    /// With a key of the test's own.
    init(key: [UInt8], spi: UInt32, _ inner: [UInt8]) {
        (self.spi, nonceSPI, self.key, self.inner) = (spi, spi, key, inner)
    }

    static func epochOption(_ spi: UInt32) -> [UInt8] { [0xFF, 0, 0x81, 1] + Packets.big(spi) }

    static func counterOption(_ spi: UInt32, _ counter: UInt64) -> [UInt8] {
        [0xFF, 0, 0x82, 3] + Packets.big(spi) + Packets.big(counter)
    }

    var header: [UInt8] {
        let list = options ?? Self.epochOption(spi) + Self.counterOption(nonceSPI, counter)
        return [version << 6 | UInt8(list.count / 4), flags] + Packets.big(protocolType)
            + Packets.big(vni << 8) + list
    }

    /// The whole datagram.
    func sealed() throws -> [UInt8] {
        var cipher = try PacketCipher.make(.openSSL)
        let nonce = Packets.big(nonceSPI) + Packets.big(counter)
        let text = cipher.seal(inner, key: try PacketKey(key), nonce: nonce, associated: header)
        return header + (try #require(text))
    }
}

extension PacketCipher {
    /// The ciphertext with its tag.
    mutating func seal(_ text: [UInt8], key: PacketKey, nonce: [UInt8], associated: [UInt8]) -> [UInt8]? {
        var output = [UInt8](repeating: 0xEE, count: text.count + Geneve.tagLength)
        let done = transform(key, nonce, associated, text, &output, text.count, sealing: true)
        return done ? output : nil
    }

    /// The plaintext, or nil when the tag is wrong.
    mutating func open(_ sealed: [UInt8], key: PacketKey, nonce: [UInt8], associated: [UInt8]) -> [UInt8]? {
        let count = sealed.count - Geneve.tagLength
        var output = [UInt8](repeating: 0xEE, count: max(count, 1))
        guard count >= 0, transform(key, nonce, associated, sealed, &output, count, sealing: false) else { return nil }
        return Array(output[..<count])
    }

    private mutating func transform(
        _ key: PacketKey, _ nonce: [UInt8], _ associated: [UInt8], _ input: [UInt8], _ output: inout [UInt8],
        _ count: Int, sealing: Bool
    ) -> Bool {
        precondition(nonce.count == 12)
        // An empty array has no address; the cipher reads none of its bytes.
        let input = input.isEmpty ? [0] : input
        // Safe: the nonce has 12 bytes, and callers made the input and the output as long as `count` and a tag want.
        return unsafe nonce.withUnsafeBytes { nonce in
            unsafe associated.withUnsafeBytes { associated in
                unsafe input.withUnsafeBytes { input in
                    unsafe output.withUnsafeMutableBytes { output in
                        guard let nonce = nonce.baseAddress, let data = associated.baseAddress,
                            let from = input.baseAddress, let to = output.baseAddress
                        else { return false }
                        let job = unsafe Job(
                            key: key.reference, nonce: nonce, associatedData: data,
                            associatedCount: associated.count, input: from, output: to, count: count)
                        return unsafe sealing ? seal(job, tag: to + count) : open(job, tag: from + count)
                    }
                }
            }
        }
    }
}
