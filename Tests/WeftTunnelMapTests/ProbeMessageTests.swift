// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftTunnelMap

struct ProbeMessageTests {
    private static func keys(_ byte: UInt8 = 7) -> ProbeKeys {
        ProbeKeys(FleetKey(copying: [UInt8](repeating: byte, count: 32).span))
    }

    private let keys = Self.keys()

    private func message(
        _ version: ProbeMessage.Version = .pairs, _ kind: ProbeMessage.Kind = .probe, to receiver: String = "there"
    ) -> ProbeMessage {
        ProbeMessage(
            kind, version, from: "here", to: receiver,
            nonce: ProbeMessage.Nonce(0x0102_0304_0506_0708, 0x1112_1314_1516_1718), time: 1_000_000_000_000)
    }

    @Test(arguments: [ProbeMessage.Version.fleet, .pairs], [ProbeMessage.Kind.probe, .answer])
    func comesBackAsItWent(_ version: ProbeMessage.Version, _ kind: ProbeMessage.Kind) {
        let bytes = message(version, kind).encoded(keys) ?? []
        #expect(bytes.count == ProbeMessage.byteCount)
        #expect(ProbeMessage(bytes, keys) == message(version, kind))
        #expect((ProbeMessage(bytes, keys, allowing: [.pairs]) == nil) == (version == .fleet))
    }

    /// Computed by another implementation of HMAC; the first is what agents of the first release send and take.
    @Test(arguments: [
        (ProbeMessage.Version.fleet, "7124ee9b0caf58f7c3c33ca5dc8933d81e474a5b25f89fc1d1be9ff98b5e19f9"),
        (.pairs, "a9a6cce1a052c94ffb0e6e609389debd1e7a4410877e9bf781c59ef469c891b2"),
    ])
    func tagsAreAsTheyAlwaysWere(_ version: ProbeMessage.Version, _ tag: String) {
        let bytes = message(version).encoded(keys) ?? []
        #expect(bytes.suffix(32).map { String(format: "%02x", $0) }.joined() == tag)
        let names = [("here", 60), ("there", 59)].flatMap { Array($0.0.utf8) + [UInt8](repeating: 0, count: $0.1) }
        let head = Array("WFHP".utf8) + [version.rawValue, 1, 0, 0] + names
        let rest: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]
        #expect(Array(bytes.prefix(160)) == head + rest + [0, 0, 0, 0xE8, 0xD4, 0xA5, 0x10, 0])
    }

    @Test func eachPairHasAKeyOfItsOwnInBothDirections() {
        let sample = Array("sample".utf8)
        let one = keys.tag(over: sample.span, .pairs, between: "a", "b")
        #expect(one == keys.tag(over: sample.span, .pairs, between: "b", "a"))
        #expect(one != keys.tag(over: sample.span, .pairs, between: "a", "c"))
        #expect(one != keys.tag(over: sample.span, .pairs, between: "a", "bc"))
        #expect(one != keys.tag(over: sample.span, .fleet, between: "a", "b"))
    }

    @Test(arguments: [ProbeMessage.Version.fleet, .pairs])
    func anyChangeIsRefused(_ version: ProbeMessage.Version) {
        let bytes = message(version).encoded(keys) ?? []
        for index in bytes.indices {
            var other = bytes
            other[index] ^= 1 << UInt8(index % 8)
            #expect(ProbeMessage(other, keys) == nil, "byte \(index)")
        }
        for other in [Array(bytes.dropLast()), bytes + [0], []] { #expect(ProbeMessage(other, keys) == nil) }
        #expect(ProbeMessage(bytes, Self.keys(8)) == nil && bytes.count == ProbeMessage.byteCount)
    }
}

struct FleetKeyTests {
    @Test(arguments: [
        (String(repeating: "5a", count: 32), 0o600, true), (String(repeating: "5A", count: 32) + "\n", 0o600, true),
        (String(repeating: "5a", count: 32), 0o640, false), (String(repeating: "5a", count: 31), 0o600, false),
        (String(repeating: "5a", count: 33), 0o600, false), (String(repeating: "5g", count: 32), 0o600, false),
        ("", 0o600, false),
    ])
    func keyFiles(_ text: String, _ mode: Int, _ isGood: Bool) throws {
        let path = NSTemporaryDirectory() + "weft-fleet-key-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        var isRead = false
        do throws(MapFileError) {
            _ = try FleetKey(contentsOf: path)
            isRead = true
        } catch {
            #expect(error.description.contains(path))
        }
        #expect(isRead == isGood)
    }
}
