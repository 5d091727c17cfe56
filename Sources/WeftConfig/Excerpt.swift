// SPDX-License-Identifier: Apache-2.0

/// What a diagnostic may show of a file: never what could be part of a key, never what steers a terminal.
enum Excerpt {
    /// Longest excerpt, in characters.
    private static let limit = 48

    /// A value as it follows "found": quoted, or described if it can't be shown.
    static func found(_ value: String) -> String {
        if value.isEmpty { return "nothing" }
        return mayHoldKey(value) ? "something that may be a key (not shown)" : quoted(value)
    }

    /// A text that is known to hold no key, in quotes and without anything that a terminal would obey.
    static func quoted(_ value: String) -> String {
        var shown = ""
        for scalar in value.unicodeScalars {
            guard shown.count < limit else {
                shown += "..."
                break
            }
            // Escaping everything beyond ASCII also takes care of look-alikes and of marks that turn the line around.
            shown += scalar.escaped(asASCII: true)
        }
        return "\"\(shown)\""
    }

    /// Whether the text could be a key, or a good part of one, that came under the wrong name or lost a line break.
    ///
    /// That is so if it has an equals sign, or 8 or more base64 digits in a row that aren't simply a number, a prefix,
    /// a word or a path.
    static func mayHoldKey(_ text: String) -> Bool {
        var run: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "="):
                return true
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "-"),
                UInt8(ascii: "_"):
                run.append(byte)
            case UInt8(ascii: " "), UInt8(ascii: "\t"):
                continue
            default:
                if isSuspicious(run) { return true }
                run.removeAll(keepingCapacity: true)
            }
        }
        return isSuspicious(run)
    }

    private static func isSuspicious(_ run: [UInt8]) -> Bool {
        guard run.count >= 8 else { return false }
        let slash = UInt8(ascii: "/")
        let isNumeric = run.allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
                || $0 == slash
        }
        let isWord = run.dropFirst().allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == slash || $0 == UInt8(ascii: "-")
        }
        return !isNumeric && !isWord
    }
}
