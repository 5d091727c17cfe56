// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftCommand

/// Our JSON beside Foundation's.
struct JSONTests {
    private struct Sample: Codable, Equatable {
        enum Kind: String, Codable { case one, two }
        struct Inner: Codable, Equatable {
            var text = "\"\\ /\n\t\u{1}ä😀"
            var missing: Int?
        }
        var largest = UInt64.max
        var smallest = Int64.min
        var small: UInt8 = 7
        var ratio = 0.1
        var whole = 3.0
        var tiny = 1e-300
        var flag = true
        var kind = Kind.two
        var inner = Inner()
        var list: [Inner?] = [Inner(), nil]
        var numbers: [String: UInt64] = ["b": 1, "a": 2]
        var empty: [Int] = []
        var emptyObject: [String: Int] = [:]
        var nested = [[1, 2], [], [3]]
    }

    @Test func foundationReadsWhatIsWritten() throws {
        let text = JSON.text(Sample())
        #expect(try JSONDecoder().decode(Sample.self, from: Data(text.utf8)) == Sample())
        #expect(JSON.text([1, 2]) == "[\n  1,\n  2\n]")
        #expect(JSON.text(["b": "/", "a": "x"]) == "{\n  \"a\" : \"x\",\n  \"b\" : \"/\"\n}")
    }

    @Test func whatFoundationWritesIsRead() throws {
        for formatting in [[], [.prettyPrinted]] as [JSONEncoder.OutputFormatting] {
            let encoder = JSONEncoder()
            encoder.outputFormatting = formatting
            #expect(JSON.decode(Sample.self, from: [UInt8](try encoder.encode(Sample()))) == Sample())
        }
        #expect(JSON.decode(Sample.self, from: Array(JSON.text(Sample()).utf8)) == Sample())
    }

    @Test(arguments: [
        "", "{", "}", "[1,]", "[1 2]", #"{"a" 1}"#, #"{"a":}"#, "nul", "tru", "01x", "+1", ".5", "--1", "1e999",
        #""\u12""#,
        #""\ud800""#, #""\ud800\u0041""#, #""\udc00""#, #""\x""#, "\"\n\"", "\"", "[1] x", "{1:2}",
        String(repeating: "[", count: 100_000),
    ])
    func otherTextIsRefused(_ text: String) {
        #expect(JSONValue(parsing: Array(text.utf8)) == nil)
    }

    @Test(arguments: ["256", "-1", "1.5", "\"1\"", "true", "null", "[]", "{}"])
    func otherTypesAreRefused(_ text: String) {
        #expect(JSON.decode(UInt8.self, from: Array(text.utf8)) == nil)
    }

    @Test(arguments: [
        (#""\ud83d\ude00""#, JSONValue.string("😀")), (" [ ] ", .array([])), ("-0.5e2", .number("-0.5e2")),
        (
            #"{"a":{"b":[null,true,false]}}"#,
            .object(["a": .object(["b": .array([.null, .bool(true), .bool(false)])])])
        ),
        (#""\/\b\f\r""#, .string("/\u{8}\u{C}\r")),
    ])
    func valuesAreRead(_ text: String, _ wanted: JSONValue) {
        #expect(JSONValue(parsing: Array(text.utf8)) == wanted)
    }

    @Test func damagedTextIsNeverWorseThanRefused() {
        let bytes = Array(JSON.text(Sample()).utf8)
        for index in bytes.indices {
            for bit in 0..<8 {
                var other = bytes
                other[index] ^= 1 << UInt8(bit)
                _ = JSON.decode(Sample.self, from: other)
            }
            _ = JSONValue(parsing: Array(bytes.prefix(index)))
        }
        #expect(!bytes.isEmpty)
    }
}
