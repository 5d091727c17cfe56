// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import WeftCommand

@Suite("Others' words")
struct HarmlessTests {
    /// What a terminal obeys, what can't be seen, and what turns the order of what stands behind it.
    private static let harmful: [Unicode.Scalar] = [
        "\0", "\u{7}", "\u{8}", "\t", "\n", "\r", "\u{1B}", "\u{7F}", "\u{85}", "\u{9B}", "\u{9D}", "\u{AD}", "\u{61C}",
        "\u{200B}", "\u{200D}", "\u{200E}", "\u{2028}", "\u{2029}", "\u{202A}", "\u{202E}", "\u{2066}", "\u{2069}",
        "\u{FEFF}",
        "\u{FFF9}", "\u{E000}", "\u{FFFE}", "\u{E0041}", "\u{10FFFF}",
    ]

    @Test("what steers is written as its number", arguments: harmful)
    func numbers(_ scalar: Unicode.Scalar) {
        #expect(Harmless.line("a\(scalar)b") == "a\\u{\(String(scalar.value, radix: 16))}b")
    }

    @Test(
        "what is for reading stays",
        arguments: ["", "plain", "grüße", "日本語", "שלום", "naïve café €5 – ½", "a\\b\"c", "\u{FFFD}", "😀"])
    func readable(_ text: String) {
        #expect(Harmless.line(text) == text)
    }

    @Test("a line can't become two, nor a name a screen full")
    func lines() {
        #expect(Harmless.line("bob\r\nweft: root: all is well") == "bob\\u{d}\\u{a}weft: root: all is well")
        #expect(Harmless.line("\u{1B}]0;title\u{7}\u{9B}2J") == "\\u{1b}]0;title\\u{7}\\u{9b}2J")
    }

    @Test("bytes that are no UTF-8 have become a mark that can be seen")
    func noUTF8() {
        #expect(Harmless.line(String(decoding: [0x61, 0xFF, 0x9B, 0x62], as: UTF8.self)) == "a\u{FFFD}\u{FFFD}b")
    }

    @Test("bold letters are ours, where we use them, and nothing else passes with them")
    func bold() {
        let line = "\u{1B}[1mpeer\u{1B}[0m: x\u{1B}[2J\u{1B}[31m\u{1B}[1"
        #expect(Console.shown(line, withBold: true) == "\u{1B}[1mpeer\u{1B}[0m: x\\u{1b}[2J\\u{1b}[31m\\u{1b}[1")
        #expect(Console.shown(line, withBold: false) == "\\u{1b}[1mpeer\\u{1b}[0m: x\\u{1b}[2J\\u{1b}[31m\\u{1b}[1")
    }

    private static func words(_ random: inout SeededGenerator) -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0...20, using: &random) {
            let any = Unicode.Scalar(UInt32.random(in: 0...0x10FFFF, using: &random)) ?? " "
            let scalar = [any, harmful.randomElement(using: &random) ?? any, "a", "\\", "\""].randomElement(
                using: &random)
            text.unicodeScalars.append(scalar ?? any)
        }
        return text
    }

    @Test("10,000 random texts: nothing that steers is left, and JSON says the same again")
    func random() throws {
        var random = SeededGenerator.fresh()
        for _ in 0..<10_000 {
            let text = Self.words(&random)
            let line = Harmless.line(text)
            #expect(!line.unicodeScalars.contains { Self.harmful.contains($0) }, "seed \(random.seed)")
            #expect(Harmless.line(line) == line, "seed \(random.seed)")
            let json = JSON.text([text: text])
            // Its own line breaks are all that stays.
            #expect(!json.unicodeScalars.contains { $0 != "\n" && Self.harmful.contains($0) }, "seed \(random.seed)")
            let again = JSON.decode([String: String].self, from: Array(json.utf8))
            #expect(again?.first?.key.unicodeScalars.elementsEqual(text.unicodeScalars) == true, "seed \(random.seed)")
            #expect(
                again?.first?.value.unicodeScalars.elementsEqual(text.unicodeScalars) == true, "seed \(random.seed)")
        }
    }
}
