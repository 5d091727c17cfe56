// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftControl

@testable import WeftConfig

@Suite("Preshared keys in tunnel files")
struct PresharedKeyFileTests {
    private static let key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
    private static let other = "yTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

    /// A file with one peer from line 5 on, with more lines behind it, from line 8 on.
    private func text(_ lines: String..., interface: String = "") -> String {
        """
        [Interface]
        Address = 10.77.0.1/24
        PrivateKeyFile = host.key
        \(interface)
        [Peer]
        PublicKey = \(Samples.publicKeys[1])
        AllowedIPs = 10.77.0.2/32
        \(lines.joined(separator: "\n"))
        """
    }

    private func findings(_ text: String) -> [String] {
        do throws(TunnelFileError) {
            _ = try TunnelFile.parse(text, name: "weft0.conf")
            return []
        } catch {
            return error.lines.map { $0.replacing("weft0.conf:", with: "") }
        }
    }

    @Test("one in the file")
    func inFile() throws {
        let file = try TunnelFile.parse(text("PresharedKey = \(Self.key)"), name: "weft0.conf")
        let key = try #require(file.peers[0].presharedKey)
        let again = try TunnelFile.parse(text("presharedkey=\(Self.key)"), name: "weft0.conf")
        #expect(again.peers[0].presharedKey == key)
        let other = try TunnelFile.parse(text("PresharedKey = \(Self.other)"), name: "weft0.conf")
        #expect(other.peers[0].presharedKey != key)
        #expect("\(key)" == "(hidden)")
        #expect(key.withBytes { $0.count == 32 && $0[0] == 0xC5 && $0[31] == 0x38 })
        #expect(try TunnelFile.parse(text(), name: "weft0.conf").peers[0].presharedKey == nil)
    }

    @Test(
        "what is none",
        arguments: [
            "", "x", String(key.dropLast()), "\(key)=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            key.replacing("8Dg=", with: "8Dh="), key.replacing("x", with: "_"), "xTIBA5rboUvnH4htodjb6Q==",
        ])
    func bad(_ value: String) {
        let found = findings(text("PresharedKey = \(value)"))
        #expect(found.count == 1)
        #expect(found[0].hasPrefix("8: PresharedKey: expected what `weft genpsk` prints"))
        // The key itself is never shown.
        #expect(value.count < 20 || !found[0].contains(value.prefix(10)))
    }

    @Test("what can't stand together")
    func conflicts() {
        #expect(
            findings(text("PresharedKey = \(Self.key)", "PresharedKeyFile = peer.psk")) == [
                "9: PresharedKeyFile: stands beside PresharedKey (line 8): expected one or the other"
            ])
        #expect(
            findings(text("PresharedKeyFile = peer.psk", "Protocol = 1")) == [
                "8: PresharedKeyFile: stands beside Protocol (line 9): such a peer knows none"
            ])
        #expect(
            findings(text("PresharedKey = \(Self.key)", "ControlPort = 6082", "Endpoint = 192.0.2.2:6081")) == [
                "8: PresharedKey: stands beside ControlPort (line 9): such a peer knows none"
            ])
    }

    @Test("renewals more than 10 minutes apart need a peer that doesn't speak weft/1")
    func rekeyInterval() {
        let long = "RekeyInterval = 601"
        #expect(
            findings(text(interface: long)) == [
                "4: RekeyInterval: expected a number of seconds from 1 to 600, as the peer of line 5 speaks weft/1, found \"601\""
            ])
        #expect(findings(text(interface: "RekeyInterval = 600")).isEmpty)
        #expect(findings(text("Protocol = 1", interface: long)).isEmpty)
        #expect(findings(text("ControlPort = 6082", "Endpoint = 192.0.2.2:6081", interface: long)).isEmpty)
    }

    @Test("one in a file of its own, by the rules for secrets")
    func ownFile() throws {
        let folder = try ScratchFolder()
        try Identity.generate().write(to: folder.path + "/host.key")
        try folder.write(Array(text("PresharedKeyFile = peer.psk").utf8), to: "weft0.conf")
        func load() -> (key: PresharedKey?, findings: [String]) {
            do throws(TunnelFileError) {
                return (try TunnelFile.load(path: folder.path + "/weft0.conf").peers[0].presharedKey, [])
            } catch {
                return (nil, error.lines)
            }
        }
        #expect(load().findings.first?.contains("cannot open \(folder.path)/peer.psk") == true)
        for ending in ["", "\n", " \r\n"] {
            try folder.write(Array("\(Self.key)\(ending)".utf8), to: "peer.psk")
            let found = load()
            #expect(found.key?.withBytes { $0[0] } == 0xC5, "\(found.findings)")
        }
        for content in ["", "\n", "x", "\(Self.key)x", "\(Self.key)\n\(Self.key)\n"] {
            try folder.write(Array(content.utf8), to: "peer.psk")
            #expect(load().findings.first?.contains("holds no preshared key") == true)
        }
        try folder.write(Array(Self.key.utf8), to: "peer.psk", mode: 0o640)
        #expect(load().findings.first?.contains("is open to group or others") == true)
    }
}
