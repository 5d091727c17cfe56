// SPDX-License-Identifier: Apache-2.0
import Weft

/// One question for addresses and what a resolver says to it (RFC 1035, RFC 3596).
public struct DNSMessage: Hashable, Sendable {
    /// What became of the question.
    public enum Outcome: Hashable, Sendable {
        case addresses([IPAddress])
        /// The answer is longer than a datagram: it is to be asked for over TCP.
        case truncated
        /// The resolver's code: 3 says that there is no such name.
        case refused(UInt8)
    }

    /// The question's bytes.
    public let bytes: [UInt8]
    private let type: UInt16

    /// - Parameters:
    ///   - name: labels of 1 to 63 bytes, at most 253 in all; a final dot is fine.
    ///   - number: at random, so that who can't see it forges no answer.
    /// - Returns: nil where the name is none.
    public init?(_ name: String, _ family: IPAddress.Family, number: UInt16) {
        let host = name.hasSuffix(".") ? name.dropLast() : name[...]
        let labels = host.split(separator: ".", omittingEmptySubsequences: false).map { Array($0.utf8) }
        guard host.utf8.count <= 253, labels.allSatisfy({ (1...63).contains($0.count) }) else { return nil }
        type = family == .v4 ? 1 : 28
        var bytes: [UInt8] = [UInt8(number >> 8), UInt8(truncatingIfNeeded: number), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in labels { bytes += [UInt8(label.count)] + label }
        bytes += [0, UInt8(type >> 8), UInt8(truncatingIfNeeded: type), 0, 1]
        self.bytes = bytes
    }

    /// What an answer says; nil where it answers another question, or is none.
    ///
    /// The question must be repeated to the byte. Aliases are followed by whoever answered, as it was asked to: addresses of any name
    /// in the answer count.
    public func outcome(in answer: [UInt8]) -> Outcome? {
        let question = bytes[12...]
        guard answer.count >= 12 + question.count, answer[0] == bytes[0], answer[1] == bytes[1],
            answer[2] & 0xF8 == 0x80, answer[4] == 0, answer[5] == 1,
            answer[12..<12 + question.count].elementsEqual(question)
        else { return nil }
        let code = answer[3] & 0xF
        guard code == 0 else { return .refused(code) }
        if answer[2] & 2 != 0 { return .truncated }
        let count = Int(answer[6]) << 8 | Int(answer[7])
        var at = 12 + question.count
        var addresses: [IPAddress] = []
        // A record is 11 bytes at least, so that a count alone costs nothing.
        for _ in 0..<count {
            guard let end = Self.skipName(answer, at), end + 10 <= answer.count else { return nil }
            let kind = UInt16(answer[end]) << 8 | UInt16(answer[end + 1])
            let length = Int(answer[end + 8]) << 8 | Int(answer[end + 9])
            at = end + 10 + length
            guard at <= answer.count else { return nil }
            guard kind == type, answer[end + 2] == 0, answer[end + 3] == 1, addresses.count < 32 else { continue }
            if let address = address(answer[(end + 10)..<at]) { addresses.append(address) }
        }
        return .addresses(addresses)
    }

    /// Where a name ends that begins at an index; pointers end it.
    private static func skipName(_ bytes: [UInt8], _ start: Int) -> Int? {
        var at = start
        while at < bytes.count {
            let length = Int(bytes[at])
            if length == 0 { return at + 1 }
            if length & 0xC0 == 0xC0 { return at + 2 <= bytes.count ? at + 2 : nil }
            guard length < 64 else { return nil }
            at += 1 + length
        }
        return nil
    }

    /// A record's address; nil where it is as long as none of the kind that was asked for.
    private func address(_ bytes: ArraySlice<UInt8>) -> IPAddress? {
        func number(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        switch (type, bytes.count) {
        case (1, 4): return IPAddress(v4: UInt32(truncatingIfNeeded: number(bytes)))
        case (28, 16): return IPAddress(v6: number(bytes.prefix(8)), number(bytes.suffix(8)))
        default: return nil
        }
    }
}
