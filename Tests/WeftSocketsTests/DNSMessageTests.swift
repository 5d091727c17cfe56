// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftSockets

@Suite("Names on the overlay")
struct DNSMessageTests {
    /// RFC 1035: the question for www.example.org, and an answer by an alias.
    private let question = DNSMessage("www.example.org", .v4, number: 0x1234)
    private func answer(_ flags: [UInt8] = [0x81, 0x80], count: UInt8 = 2) throws -> [UInt8] {
        let asked = try #require(question).bytes
        return [0x12, 0x34] + flags + [0, 1, 0, count, 0, 0, 0, 0] + asked[12...]
            + [0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 6, 3, 0x61, 0x62, 0x63, 0xC0, 16]
            + [0xC0, 45, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 77, 0, 2]
    }

    @Test("a question's bytes")
    func asks() throws {
        let bytes = try #require(question).bytes
        #expect(
            bytes == [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3] + Array("www".utf8) + [7] + Array("example".utf8)
                + [3] + Array("org".utf8) + [0, 0, 1, 0, 1])
        #expect(DNSMessage("", .v4, number: 0) == nil)
        #expect(DNSMessage("a..b", .v4, number: 0) == nil)
        #expect(DNSMessage(String(repeating: "a", count: 64), .v4, number: 0) == nil)
        #expect(DNSMessage("host.", .v6, number: 0)?.bytes.suffix(4) == [0, 28, 0, 1])
    }

    @Test("an answer by an alias, one that was cut off, and refusals")
    func reads() throws {
        let question = try #require(question)
        #expect(question.outcome(in: try answer()) == .addresses([IPAddress(v4: 0x0A4D_0002)]))
        #expect(question.outcome(in: try answer([0x83, 0x80])) == .truncated)
        #expect(question.outcome(in: try answer([0x81, 0x83])) == .refused(3))
    }

    @Test("what answers another question, or is cut short anywhere, is none")
    func refuses() throws {
        let question = try #require(question)
        let whole = try answer()
        for count in whole.indices { #expect(question.outcome(in: Array(whole.prefix(count))) == nil, "\(count)") }
        for index in [0, 1, 2, 13, 30] {
            var other = whole
            other[index] ^= 0x80
            #expect(question.outcome(in: other) == nil, "byte \(index)")
        }
        // More records are announced than there are.
        #expect(question.outcome(in: try answer(count: 3)) == nil)
    }

    @Test("an address as long as the other kind's isn't one", arguments: [(IPAddress.Family.v4, UInt8(16)), (.v6, 4)])
    func lengths(family: IPAddress.Family, count: UInt8) throws {
        let question = try #require(DNSMessage("host", family, number: 7))
        let type: UInt8 = family == .v4 ? 1 : 28
        let record = [0xC0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, count] + [UInt8](repeating: 0xFD, count: Int(count))
        let answer = [0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0] + question.bytes[12...] + record
        #expect(question.outcome(in: answer) == .addresses([]))
    }
}
