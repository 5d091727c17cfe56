// SPDX-License-Identifier: Apache-2.0
import WeftControl

/// A tunnel file's text, cut into sections and entries; what the entries mean is for others to say.
///
/// It works on the file's own bytes, so that no copy of a key's text is left behind.
struct TunnelFileText {
    /// `KEY = VALUE`: where both stand in the text, without the space around them.
    struct Entry {
        /// Counted from 1.
        let line: Int
        let name: Range<Int>
        let value: Range<Int>
    }

    struct Section {
        enum Kind {
            case interface
            case peer
            case initiator
            /// Its header was reported; its entries are passed over.
            case unknown
        }

        let kind: Kind
        /// The header's line.
        let line: Int
        var entries: [Entry] = []
    }

    let source: SharedSecret
    /// False if it is no text at all, which is reported, so that what it lacks means nothing.
    let isReadable: Bool
    private(set) var sections: [Section] = []
    /// Whether there is a value that is a key, or is meant to be one, be it in the wrong place or malformed.
    private(set) var holdsKeys = false

    init(_ source: SharedSecret, reportingTo diagnostics: inout DiagnosticList) {
        self.source = source
        isReadable = Self.isReadable(source, reportingTo: &diagnostics)
        guard isReadable else { return }
        var start = source.hasByteOrderMark ? 3 : 0
        var line = 1
        while start < source.count {
            let end = source.firstIndex(of: UInt8(ascii: "\n"), in: start..<source.count) ?? source.count
            read(line: line, start..<end, &diagnostics)
            start = end + 1
            line += 1
        }
    }

    /// The text of a range. Never call it for a key's value: the copy isn't wiped.
    func string(_ range: Range<Int>) -> String {
        String(decoding: range.compactMap { source[$0] }, as: UTF8.self)
    }

    private mutating func read(line: Int, _ whole: Range<Int>, _ diagnostics: inout DiagnosticList) {
        let comment = source.firstIndex(of: UInt8(ascii: "#"), in: whole)
        let content = source.trimmed(whole.lowerBound..<(comment ?? whole.upperBound))
        guard let first = source[content.lowerBound], !content.isEmpty else { return }
        if first == UInt8(ascii: "[") {
            sections.append(Section(kind: kind(ofHeader: content, line, &diagnostics), line: line))
            return
        }
        guard let equals = source.firstIndex(of: UInt8(ascii: "="), in: content), equals > content.lowerBound else {
            diagnostics.add(line: line, "expected KEY = VALUE, \(FileSections.expected)")
            return
        }
        let entry = Entry(
            line: line,
            name: source.trimmed(content.lowerBound..<equals),
            value: source.trimmed(equals + 1..<content.upperBound))
        holdsKeys = holdsKeys || isKey(entry)
        guard !sections.isEmpty else {
            diagnostics.add(line: line, "expected \(FileSections.expected) before the first key")
            return
        }
        sections[sections.count - 1].entries.append(entry)
    }

    private func isKey(_ entry: Entry) -> Bool {
        let name = string(entry.name).lowercased()
        return name.hasSuffix("key") && name != "publickey" || ManualKey(base64: source, at: entry.value) != nil
    }

    private func kind(ofHeader content: Range<Int>, _ line: Int, _ diagnostics: inout DiagnosticList) -> Section.Kind {
        guard source[content.upperBound - 1] == UInt8(ascii: "]"), content.count >= 2 else {
            diagnostics.add(line: line, "expected \(FileSections.expected): the closing ] is missing")
            return .unknown
        }
        let name = string(source.trimmed(content.lowerBound + 1..<content.upperBound - 1))
        switch name.lowercased() {
        case InterfaceKey.section.lowercased(): return .interface
        case PeerKey.section.lowercased(): return .peer
        case InitiatorKey.section.lowercased(): return .initiator
        default:
            if let meant = Suggestion.closest(to: name, among: FileSections.all.map(\.name)) {
                diagnostics.add(line: line, "unknown section \(Excerpt.found(name)): did you mean [\(meant)]?")
            } else {
                diagnostics.add(line: line, "unknown section: expected \(FileSections.expected)")
            }
            return .unknown
        }
    }

    /// Whether the file is text of an acceptable size at all; says what is wrong if not.
    private static func isReadable(_ source: SharedSecret, reportingTo diagnostics: inout DiagnosticList) -> Bool {
        guard source.count <= TunnelFile.maximumSize else {
            diagnostics.add(TunnelFile.tooLarge)
            return false
        }
        if let index = source.firstIndex(of: 0, in: 0..<source.count) {
            diagnostics.add(line: source.line(at: index), "expected text, found a NUL byte")
            return false
        }
        if let index = source.firstInvalidUTF8 {
            diagnostics.add(line: source.line(at: index), "expected UTF-8 text, found other bytes")
            return false
        }
        return true
    }
}

extension SharedSecret {
    fileprivate func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        range.first { self[$0] == byte }
    }

    /// The range without spaces, tabs and carriage returns at its ends.
    fileprivate func trimmed(_ range: Range<Int>) -> Range<Int> {
        func isSpace(_ index: Int) -> Bool {
            self[index] == UInt8(ascii: " ") || self[index] == UInt8(ascii: "\t") || self[index] == UInt8(ascii: "\r")
        }
        var range = range
        while let first = range.first, isSpace(first) { range = range.lowerBound + 1..<range.upperBound }
        while let last = range.last, isSpace(last) { range = range.lowerBound..<range.upperBound - 1 }
        return range
    }

    /// The number of the line that holds a byte, counted from 1.
    fileprivate func line(at index: Int) -> Int {
        1 + (0..<index).count { self[$0] == UInt8(ascii: "\n") }
    }

    /// Whether the text begins with U+FEFF, as some editors on other systems write it.
    fileprivate var hasByteOrderMark: Bool { self[0] == 0xEF && self[1] == 0xBB && self[2] == 0xBF }

    /// Where the first byte stands that is no UTF-8; nil if all is well.
    fileprivate var firstInvalidUTF8: Int? {
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: span)
            return nil
        } catch {
            return error.byteOffsets.lowerBound
        }
    }
}
