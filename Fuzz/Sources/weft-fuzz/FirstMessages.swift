// SPDX-License-Identifier: Apache-2.0
@testable import Weft
@testable import WeftControl

/// The first message of `weft/1`: what is read is written again so that it reads the same.
enum FirstMessages {
    static func run(_ input: RawSpan) {
        let bytes = input.array()
        guard let capabilities = try? Capabilities(payload: bytes.span) else { return }
        if let vni = try? capabilities.receiveVNI() { check((1..<1 << 24).contains(vni), "\(vni) is no VNI") }
        _ = try? capabilities.canCall()
        guard let frame = capabilities.frame else {
            return check(bytes.count > ControlFrame.maximumPayloadByteCount, "what was read can't be written")
        }
        let again = try? Capabilities(payload: Array(frame.dropFirst(2)).span)
        check(again == capabilities, "it reads otherwise: \(frame)")
    }

    static func seeds() -> [[UInt8]] {
        [
            [1, 16], [1, 16, 0, 1, 1, 0], [1, 16, 0, 1, 1, 4, 0, 1, 2, 3],
            [1, 16, 0xAB, 0xCD, 7, 3, 1, 2, 3, 0, 9, 1, 0],
        ]
    }
}

/// Tags of connection ids: none is right that nobody made.
enum Tags {
    static func run(_ input: RawSpan) {
        // New keys each time: the fuzzer sees what is compared, and would have a key's tag with the next input.
        let tags = ConnectionTags(own: .random(), call: .random())
        let verdict = tags.judge(input)
        check(verdict != .ours && verdict != .call, "a tag by chance")
        // The same datagram with ids of ours in it is known.
        var bytes = input.array()
        guard bytes.count >= 25 else { return }
        let isLong = bytes[0] & 0x80 != 0
        bytes.replaceSubrange(isLong ? 6..<24 : 1..<19, with: tags.makeID())
        if isLong { bytes[5] = 18 }
        check(unsafe tags.judge(bytes.span.bytes) == .ours, "an id of ours isn't known")
    }

    static func seeds() -> [[UInt8]] {
        let noise = [UInt8](repeating: 7, count: 60)
        return [[0xC3, 0, 0, 0, 1, 16] + noise, [0xC3, 0, 0, 0, 1, 18] + noise, [0x43, 0x51] + noise, []]
    }
}
