// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

extension TunnelFileText {
    /// Whether `[Interface]` names a private key, so that peers are meant to be known by theirs.
    var namesIdentity: Bool {
        sections.contains { section in
            section.kind == .interface
                && section.entries.contains { string($0.name).lowercased().hasPrefix("privatekey") }
        }
    }
}

extension TunnelFileParser {
    /// In seconds, with peers that speak weft/1.
    private static let longestRekeyInterval: UInt32 = 600

    /// Our key pair, from the file itself or from the file that it names.
    mutating func identity(in entries: SectionEntries<InterfaceKey>) -> SharedIdentity? {
        if let entry = entries[.privateKey], let other = entries[.privateKeyFile] {
            diagnostics.add(
                line: other.line,
                "PrivateKeyFile: stands beside PrivateKey (line \(entry.line)): expected one or the other")
            return nil
        }
        if let entry = entries[.privateKey] {
            if let pem = SecretBytes(pemAround: text.source, entry.value), let identity = try? Identity(pem: pem.span) {
                return SharedIdentity(identity)
            }
            let found = entry.value.isEmpty ? "nothing" : "\(entry.value.count) other bytes (not shown)"
            diagnostics.add(
                line: entry.line, "PrivateKey: expected \(InterfaceKey.privateKey.expected), found \(found)")
            return nil
        }
        guard let path = value(of: .privateKeyFile, in: entries, FileValues.anyPath), let readIdentity else {
            return nil
        }
        do throws(KeyFileError) {
            return SharedIdentity(try readIdentity(path))
        } catch {
            diagnostics.add(line: entries.lines[.privateKeyFile], "PrivateKeyFile: \(error)")
            return nil
        }
    }

    /// What a person carried to both ends, from the file itself or from the file that it names.
    mutating func presharedKey(in entries: SectionEntries<PeerKey>) -> PresharedKey? {
        let used = [PeerKey.presharedKey, .presharedKeyFile].filter { entries[$0] != nil }
        guard let key = used.first else { return nil }
        let line = entries.lines[used.last ?? key]
        if used.count == 2 {
            diagnostics.add(
                line: line,
                "PresharedKeyFile: stands beside PresharedKey (line \(entries.lines[key])): expected one or the other")
            return nil
        }
        for other in [PeerKey.controlPort, .speaks] where entries[other] != nil {
            diagnostics.add(
                line: line,
                "\(key.rawValue): stands beside \(other.rawValue) (line \(entries.lines[other])): such a peer knows none"
            )
        }
        if let entry = entries[.presharedKey] {
            if let found = PresharedKey(base64: text.source.span.extracting(entry.value)) { return found }
            let found = entry.value.isEmpty ? "nothing" : "\(entry.value.count) other bytes (not shown)"
            diagnostics.add(line: line, "PresharedKey: expected \(PeerKey.presharedKey.expected), found \(found)")
            return nil
        }
        guard let path = value(of: .presharedKeyFile, in: entries, FileValues.anyPath), let readPresharedKey else {
            return nil
        }
        do throws(KeyFileError) { return try readPresharedKey(path) } catch {
            diagnostics.add(line: line, "PresharedKeyFile: \(error)")
            return nil
        }
    }

    /// Between Weft's ends a key seals for one and a half renewals: that mustn't become hours.
    private mutating func checkRekeyInterval(_ interface: InterfaceDraft) {
        guard let interval = interface.rekeyInterval, interval > Self.longestRekeyInterval,
            let peer = peers.first(where: { $0.usesIdentity && $0.controlPort == nil && $0.speaks == nil })
        else { return }
        diagnostics.add(
            line: interface.lines[.rekeyInterval],
            "RekeyInterval: expected a number of seconds from 1 to \(Self.longestRekeyInterval), as the peer of line "
                + "\(peer.lines.header) speaks weft/1, found \"\(interval)\"")
    }

    /// Reports that others are known by their keys, and this host has none.
    mutating func requireIdentity() {
        guard let interface, !text.namesIdentity else { return }
        diagnostics.add(
            line: interface.lines.header,
            "PrivateKeyFile is missing in [Interface]: expected \(InterfaceKey.privateKeyFile.expected)")
    }

    /// Reports keys that are there twice, or are this host's own.
    mutating func checkPublicKeys(_ keys: [(key: PublicKey?, line: Int)], of what: String) {
        var lines: [PublicKey: Int] = [:]
        for case (let key?, let line) in keys {
            if let first = lines[key] {
                diagnostics.add(
                    line: line, "PublicKey: is the key of the \(what) of line \(first) too: expected one of its own")
            }
            lines[key] = line
            if interface?.identity?.publicKey == key {
                diagnostics.add(line: line, "PublicKey: is this host's own key: expected the \(what)'s")
            }
        }
    }

    /// Peers that are known by their keys: each by one of its own, and with all that agreeing on keys needs.
    mutating func checkIdentities() {
        let agreeing = peers.indices.filter { peers[$0].usesIdentity }
        guard let interface, !agreeing.isEmpty else { return }
        requireIdentity()
        checkRekeyInterval(interface)
        checkPublicKeys(agreeing.map { (peers[$0].publicKey, peers[$0].lines[.publicKey]) }, of: "peer")
        for index in agreeing {
            let peer = peers[index]
            guard let key = peer.publicKey else { continue }
            if peer.pinsEndpoint == true, peer.lines[.endpoint] == peer.lines.header {
                diagnostics.add(line: peer.lines[.pinEndpoint], "PinEndpoint: needs Endpoint: expected one to pin")
            }
            guard let own = interface.identity?.publicKey, own != key else { continue }
            if peer.vni == nil { peers[index].vni = ControlPeer.derivedVNI(own, key) }
            if peer.controlPort != nil, peer.lines[.endpoint] == peer.lines.header,
                (try? Role(local: own, peer: key)) == .initiator
            {
                diagnostics.add(
                    line: peer.lines.header,
                    "Endpoint is missing in [Peer]: this host's key is the lower one, so that it has to call ICX's peer"
                )
            }
        }
    }
}

extension SecretBytes {
    /// The text of a PEM file around a line of base64; nil if it's far too long.
    init?(pemAround text: SharedSecret, _ range: Range<Int>) {
        guard range.count <= 250 else { return nil }
        let head = Array("-----BEGIN PRIVATE KEY-----\n".utf8)
        let tail = Array("\n-----END PRIVATE KEY-----\n".utf8)
        self.init(count: head.count + range.count + tail.count) { pem in
            for index in head.indices { pem[index] = head[index] }
            for (offset, index) in range.enumerated() { pem[head.count + offset] = text[index] ?? 0 }
            for index in tail.indices { pem[head.count + range.count + index] = tail[index] }
        }
    }
}
