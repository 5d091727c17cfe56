// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// Gives the entries of a tunnel file their meaning.
///
/// A section becomes a draft first: what could be read of it. Conflicts are looked for among drafts, so that one bad
/// value doesn't hide what else is wrong, and only a file without any diagnostic becomes a configuration.
struct TunnelFileParser {
    let text: TunnelFileText
    var diagnostics = DiagnosticList()
    private(set) var interface: InterfaceDraft?
    var peers: [PeerDraft] = []
    var initiators: [InitiatorDraft] = []
    /// Reads the identity of a path that stands in the file; nil where files aren't to be looked at.
    let readIdentity: ((String) throws(KeyFileError) -> Identity)?
    /// The same of a preshared key.
    let readPresharedKey: ((String) throws(KeyFileError) -> PresharedKey)?

    init(
        _ source: SharedSecret, readIdentity: ((String) throws(KeyFileError) -> Identity)? = nil,
        readPresharedKey: ((String) throws(KeyFileError) -> PresharedKey)? = nil
    ) {
        self.readIdentity = readIdentity
        self.readPresharedKey = readPresharedKey
        var diagnostics = DiagnosticList()
        text = TunnelFileText(source, reportingTo: &diagnostics)
        self.diagnostics = diagnostics
    }

    mutating func readSections() {
        for section in text.sections {
            switch section.kind {
            case .unknown:
                continue
            case .interface:
                let entries = collect(section, as: InterfaceKey.self)
                if let first = interface {
                    diagnostics.add(
                        line: section.line,
                        "[Interface] stands here and on line \(first.lines.header): expected it once")
                } else {
                    interface = readInterface(entries)
                }
            case .peer:
                let entries = collect(section, as: PeerKey.self)
                peers.append(readPeer(entries))
            case .initiator:
                let entries = collect(section, as: InitiatorKey.self)
                initiators.append(readInitiator(entries))
            }
        }
        // A header that was misspelt has been reported, and may have been this one.
        if interface == nil, text.isReadable, !text.sections.contains(where: { $0.kind == .unknown }) {
            diagnostics.add("[Interface] is missing: expected that section with at least Address = 10.77.0.1/24")
        }
        findConflicts()
    }

    /// The configuration, if nothing at all was wrong.
    func finish(file: String) throws(TunnelFileError) -> TunnelConfiguration {
        if let error = diagnostics.error(file: file) { throw error }
        let peers = peers.compactMap(\.complete)
        let initiators = initiators.compactMap(\.complete)
        guard let interface = interface?.complete, peers.count == self.peers.count,
            initiators.count == self.initiators.count
        else {
            // A draft without a diagnostic is complete; were it otherwise, starting would still be wrong.
            let missing = TunnelFileDiagnostic(line: nil, message: "a value is missing")
            throw TunnelFileError(file: file, diagnostics: [missing])
        }
        return TunnelConfiguration(file: file, interface: interface, peers: peers, initiators: initiators)
    }

    /// A section's entries by key. Reports keys that are unknown, misplaced or there twice.
    private mutating func collect<Key: FileKey>(
        _ section: TunnelFileText.Section, as: Key.Type
    ) -> SectionEntries<Key> {
        var entries = SectionEntries<Key>(header: section.line)
        for entry in section.entries {
            let name = text.string(entry.name)
            guard let key = Key(ignoringCase: name) else {
                diagnostics.add(line: entry.line, Self.unknown(name, in: Key.self))
                continue
            }
            if let first = entries[key] {
                diagnostics.add(
                    line: entry.line,
                    "\(key.rawValue): stands here and on line \(first.line): expected it once in a section")
            } else {
                entries[key] = entry
            }
        }
        return entries
    }

    /// Says that a key is unknown. The name is shown only if it is nearly one of ours or WireGuard's: anything else
    /// could be a piece of key material behind a line break.
    private static func unknown<Key: FileKey>(_ name: String, in section: Key.Type) -> String {
        let lowered = name.lowercased()
        if let home = FileSections.home(of: name) {
            return "\(home.key): unknown key in [\(Key.section)]: it belongs in \(home.headers)"
        }
        if let known = wireGuardOnly.first(where: { $0.lowercased() == lowered }) {
            return
                "\(known): unknown key: Weft has no such key, though WireGuard has: expected one of \(list(Key.names))"
        }
        if let meant = Suggestion.closest(to: name, among: Key.names) {
            return "unknown key \(Excerpt.quoted(name)): did you mean \(meant)?"
        }
        return "unknown key: expected one of \(list(Key.names))"
    }

    private static func list(_ names: [String]) -> String { names.joined(separator: ", ") }

    private static let wireGuardOnly = [
        "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig",
    ]
}

/// A section's entries, each key once.
struct SectionEntries<Key: FileKey> {
    /// The header's line.
    let header: Int
    private var entries: [Key: TunnelFileText.Entry] = [:]

    init(header: Int) {
        self.header = header
    }

    subscript(key: Key) -> TunnelFileText.Entry? {
        get { entries[key] }
        set { entries[key] = newValue }
    }

    var lines: SectionLines<Key> { SectionLines(header: header, keys: entries.mapValues(\.line)) }
}
