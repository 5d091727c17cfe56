// SPDX-License-Identifier: Apache-2.0

extension TunnelFileParser {
    /// A value that `read` understands; nil if the key is absent, or bad, which is reported.
    mutating func value<Key: FileKey, Value>(
        of key: Key, in entries: SectionEntries<Key>, _ read: (String) -> Value?
    ) -> Value? {
        guard let entry = entries[key] else { return nil }
        let content = text.string(entry.value)
        if let value = read(content) { return value }
        report(key, entry.line, found: content)
        return nil
    }

    /// A list's items; nil if the key is absent. Bad items are reported and left out, and so are items that stand
    /// there twice by the reckoning of `identity`.
    mutating func list<Key: FileKey, Item, Identity: Hashable>(
        of key: Key, in entries: SectionEntries<Key>, identity: (Item) -> Identity, _ read: (String) -> Item?
    ) -> ItemList<Item>? {
        guard let entry = entries[key] else { return nil }
        var list = ItemList<Item>()
        var seen: Set<Identity> = []
        for part in text.string(entry.value).split(separator: ",", omittingEmptySubsequences: false) {
            let content = part.trimmingBlanks
            guard let item = read(content) else {
                report(key, entry.line, found: content)
                list.isWhole = false
                continue
            }
            guard seen.insert(identity(item)).inserted else {
                diagnostics.add(line: entry.line, "\(key.rawValue): \(identity(item)) occurs twice in the list")
                list.isWhole = false
                continue
            }
            list.items.append(item)
        }
        return list
    }

    /// A 16-byte key, whose text is never copied and never shown.
    mutating func manualKey(_ key: PeerKey, in entries: SectionEntries<PeerKey>) -> ManualKey? {
        guard let entry = entries[key] else { return nil }
        if let value = ManualKey(base64: text.source, at: entry.value) { return value }
        let found = entry.value.isEmpty ? "nothing" : "\(entry.value.count) other bytes (not shown)"
        diagnostics.add(line: entry.line, "\(key.rawValue): expected \(key.expected), found \(found)")
        return nil
    }

    /// Reports keys that a section can't do without.
    mutating func require<Key: FileKey>(_ keys: [Key], in entries: SectionEntries<Key>) {
        for key in keys where entries[key] == nil {
            diagnostics.add(
                line: entries.header, "\(key.rawValue) is missing in [\(Key.section)]: expected \(key.expected)")
        }
    }

    private mutating func report<Key: FileKey>(_ key: Key, _ line: Int, found: String) {
        diagnostics.add(line: line, "\(key.rawValue): expected \(key.expected), found \(Excerpt.found(found))")
    }
}

/// What could be read of a list.
struct ItemList<Item> {
    var items: [Item] = []
    /// False if something of it was reported, so that what seems to be absent may not be.
    var isWhole = true
}

extension Substring {
    var trimmingBlanks: String {
        func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
        let rest = drop(while: isBlank)
        guard let last = rest.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(rest[...last])
    }
}
