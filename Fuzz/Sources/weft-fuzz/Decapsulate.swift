// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// Datagrams and frames from the underlay. The first byte of an input steers, the rest is received.
///
/// A mutation breaks a tag, and behind the tag nothing would ever be reached: so half of the inputs are sealed again
/// with the true key, whatever else is wrong with them, and half of those get true outer lengths before.
final class Decapsulate {
    private enum Control {
        static let layer2: UInt8 = 1
        static let seal: UInt8 = 2
        static let fixLengths: UInt8 = 4
        static let openSSL: UInt8 = 8
        static let twice: UInt8 = 16
    }

    private let framing: Lane.Framing
    private let layers: [Ends]
    private let openSSL: Ends
    private var cipher: PacketCipher

    init(_ framing: Lane.Framing) throws {
        self.framing = framing
        layers = [try Ends(layer2: false), try Ends(layer2: true)]
        openSSL = try Ends(layer2: false, cipher: .openSSL)
        cipher = try PacketCipher.make(.openSSL)
    }

    func run(_ input: RawSpan) {
        let control = input.control(0)
        var bytes = input.array(from: 1)
        let usesOpenSSL = control & Control.openSSL != 0
        let ends = usesOpenSSL ? openSSL : layers[Int(control & Control.layer2)]
        if framing == .frame, control & Control.fixLengths != 0 { Self.fixLengths(&bytes) }
        if control & Control.seal != 0 { seal(&bytes, ends) }

        let isLayer2 = !usesOpenSSL && control & Control.layer2 != 0
        let results = [false, true].map { inPlace -> Passed in
            ends.reset()
            return open(bytes, ends, inPlace: inPlace, twice: control & Control.twice != 0, isLayer2)
        }
        check(results[0] == results[1], "across: \(results[0]), in place: \(results[1])")
    }

    private func open(_ bytes: [UInt8], _ ends: Ends, inPlace: Bool, twice: Bool, _ isLayer2: Bool) -> Passed {
        let before = ends.right.totals()
        let source = IPAddress(v4: 0xC000_0201)
        let canary = 5
        var buffer = [UInt8](repeating: 0xC5, count: bytes.count + canary * 2)
        var outcome = Lane.Outcome.consumed
        if inPlace {
            buffer.replaceSubrange(canary..<canary + bytes.count, with: bytes)
            outcome = buffer.withMutableBytes {
                ends.rightLane.decapsulate(
                    inPlace: &$0, received: canary..<canary + bytes.count, from: source, as: framing, at: Ends.start)
            }
        } else {
            outcome = buffer.withMutableBytes {
                unsafe ends.rightLane.decapsulate(
                    bytes.span.bytes, from: source, into: &$0, as: framing, at: Ends.start)
            }
        }
        let edges = inPlace ? buffer.prefix(canary) + buffer.suffix(canary) : buffer.suffix(canary)
        check(edges.allSatisfy { $0 == 0xC5 }, "wrote outside: \(outcome)")
        let result = Passed(outcome, buffer)
        let after = ends.right.totals()
        check(after.fromUnderlay == before.fromUnderlay + 1, "not accounted for: \(outcome)")
        check(after.fromOverlay == before.fromOverlay, "counted for the overlay: \(outcome)")
        if result.outcome == "forward" { checkInner(result.bytes, isLayer2) }
        if twice, result.outcome == "forward" || result.outcome == "consumed" {
            var again = [UInt8](repeating: 0, count: bytes.count + 64)
            let replayed = again.withMutableBytes {
                unsafe ends.rightLane.decapsulate(
                    bytes.span.bytes, from: source, into: &$0, as: framing, at: Ends.start)
            }
            check(replayed == .dropped(.replayed), "opened twice: \(replayed)")
        }
        return result
    }

    private func checkInner(_ opened: [UInt8], _ isLayer2: Bool) {
        let packet = isLayer2 ? Array(opened.dropFirst(14)) : opened
        check(isWholePacket(packet), "no whole packet: \(packet)")
        guard isWholePacket(packet) else { return }
        let addresses =
            packet[0] >> 4 == 4
            ? (packet[12], packet[13], packet[16], packet[17]) : (packet[8], packet[11], packet[24], packet[27])
        check(addresses == (packet[0] >> 4 == 4 ? (10, 1, 10, 2) : (0xFD, 1, 0xFD, 2)), "not permitted: \(packet)")
    }

    /// Seals what the headers say is the ciphertext, where they say it.
    private func seal(_ bytes: inout [UInt8], _ ends: Ends) {
        var start = 0
        var end = bytes.count
        if framing == .frame {
            guard let outer = unsafe try? OuterHeaders.parse(bytes.span.bytes) else { return }
            (start, end) = (outer.datagram.lowerBound, outer.datagram.upperBound)
        }
        guard let header = unsafe try? Geneve.parse(bytes.span.bytes.extracting(start..<end)) else { return }
        let text = start + header.length
        let count = end - text - Geneve.tagLength
        guard count >= 0 else { return }
        let key = ends.key(header.spi)
        bytes.withMutableBytes {
            // Safe: the parsers found the header and the nonce within the bytes, and text and tag end with them.
            unsafe $0.withUnsafeMutableBytes { memory in
                guard let base = memory.baseAddress else { return }
                let job = unsafe PacketCipher.Job(
                    key: key.reference, nonce: UnsafeRawPointer(base + start + header.nonceOffset),
                    associatedData: UnsafeRawPointer(base + start), associatedCount: header.length,
                    input: UnsafeRawPointer(base + text), output: base + text, count: count)
                _ = unsafe cipher.seal(job, tag: base + text + count)
            }
        }
    }

    /// Sets IP's and UDP's lengths and IPv4's checksum to what the frame is, if it has headers at all.
    private static func fixLengths(_ bytes: inout [UInt8]) {
        guard bytes.count >= 62 else { return }
        let isV4 = bytes[12] == 8
        let udp = isV4 ? 14 + max(Int(bytes[14] & 15), 5) * 4 : 54
        guard udp + 8 <= bytes.count, bytes.count - 14 <= 0xFFFF else { return }
        bytes.put(UInt16(bytes.count - udp), at: udp + 4)
        if isV4 {
            bytes.put(UInt16(bytes.count - 14), at: 16)
            bytes.put(0 as UInt16, at: 24)
            bytes.put(~UInt16(bytes.sum(14..<udp)), at: 24)
        } else {
            bytes.put(UInt16(bytes.count - udp), at: 18)
        }
    }
}

extension Decapsulate {
    static func frameSeeds() throws -> [[UInt8]] { try seeds(.frame) }
    static func datagramSeeds() throws -> [[UInt8]] { try seeds(.datagram) }

    /// What the left end sends, in several shapes.
    private static func seeds(_ framing: Lane.Framing) throws -> [[UInt8]] {
        var result: [[UInt8]] = []
        for outer in IPAddress.Family.allCases {
            let ends = try Ends(layer2: false, outer: outer)
            for inner in IPAddress.Family.allCases {
                for count in [48, 49, 200] {
                    ends.reset()
                    let packet = Ends.packet(inner, count: count)
                    var output = [UInt8](repeating: 0, count: 512)
                    let outcome = output.withMutableBytes {
                        unsafe ends.leftLane.encapsulate(packet.span.bytes, into: &$0, as: framing, at: Ends.start)
                    }
                    let sealed = Passed(outcome, output).bytes
                    for control in [0, 1, 8, 16] as [UInt8] { result.append([control] + sealed) }
                    // As plaintext, for those that are sealed again; with three options, and under the other key.
                    let overhead = sealed.count - count
                    var plain = sealed
                    plain.replaceSubrange(overhead - 16..<sealed.count - 16, with: packet)
                    for control in [2, 3, 6, 7, 22] as [UInt8] { result.append([control] + plain) }
                    var other = plain
                    let geneve = overhead - Geneve.overhead
                    for offset in [15, 23] { other[geneve + offset] = 4 }
                    other.insert(contentsOf: [0, 1, 2, 0], at: geneve + 8)
                    other[geneve] += 1
                    result.append([6] + other)
                }
            }
            ends.reset()
            var output = [UInt8](repeating: 0, count: 256)
            let range = output.withMutableBytes {
                ends.leftLane.keepAlive(of: .vni(Ends.vni), into: &$0, as: framing, at: Ends.start)
            }
            result.append([16] + output[range ?? 0..<0])
        }
        return result
    }
}
