// SPDX-License-Identifier: Apache-2.0

/// Texts that may hold others' words, such as a peer's reason for leaving or a name in etcd, made fit for a terminal, a log or JSON.
///
/// Everything that our programs print or log passes here, one line at a time, so that nobody's words can begin a line of their own,
/// move a cursor, colour a screen, or turn the order of what stands behind them.
package enum Harmless {
    /// A line in which each scalar that isn't for reading is written as its number, as in `\u{1b}`.
    package static func line(_ text: String) -> String {
        escaped(text) { "\\u{\(String($0.value, radix: 16))}" }
    }

    /// The same for the inside of a JSON string (RFC 8259, section 7), where a number has four digits and may take two of them.
    static func json(_ text: String) -> String {
        escaped(text) { scalar in
            String(scalar).utf16.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        }
    }

    /// Whether a scalar steers a terminal or can't be seen: controls of both sets (ESC, CSI), line separators, formats, which include
    /// all that turn the direction of writing, and what has no meaning that all agree on. Bytes that weren't UTF-8 have become U+FFFD, which
    /// can be seen, when they became a text.
    private static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        // Nearly all there is.
        if (" "..."~").contains(scalar) { return false }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: return true
        default: return false
        }
    }

    private static func escaped(_ text: String, _ number: (Unicode.Scalar) -> String) -> String {
        guard text.unicodeScalars.contains(where: isHarmful) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isHarmful(scalar) { result += number(scalar) } else { result.unicodeScalars.append(scalar) }
        }
        return result
    }
}
