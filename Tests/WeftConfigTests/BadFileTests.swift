// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import WeftConfig

@Suite("Bad tunnel files")
struct BadFileTests {
    private static let interfaceKeys = InterfaceKey.names.joined(separator: ", ")
    private static let peerKeys = PeerKey.names.joined(separator: ", ")
    private static let noInterface =
        "weft0.conf: [Interface] is missing: expected that section with at least Address = 10.77.0.1/24"

    @Test(
        "sections and names",
        arguments: [
            (
                10, "PersistantKeepalive = 25",
                "10: unknown key \"PersistantKeepalive\": did you mean PersistentKeepalive?"
            ),
            (4, "MUT = 1280", "4: unknown key \"MUT\": did you mean MTU?"),
            (10, "Colour = green", "10: unknown key: expected one of \(peerKeys)"),
            (4, "Colour = green", "4: unknown key: expected one of \(interfaceKeys)"),
            (4, "Epoch = 4", "4: Epoch: unknown key in [Interface]: it belongs in [Peer]"),
            (10, "fwmark = 4", "10: FwMark: unknown key in [Peer]: it belongs in [Interface]"),
            (
                10, "PresharedKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
                "10: PresharedKey: needs PublicKey: manual keys have no use for it"
            ),
            (10, "VNI = 8", "10: VNI: stands here and on line 7: expected it once in a section"),
            (
                10, "allowedips = 10.1.0.0/16",
                "10: AllowedIPs: stands here and on line 9: expected it once in a section"
            ),
            (4, "[interface]", "4: [Interface] stands here and on line 1: expected it once"),
            (10, "rubbish", "10: expected KEY = VALUE, [Interface], [Peer] or [Initiator]"),
            (10, "= 5", "10: expected KEY = VALUE, [Interface], [Peer] or [Initiator]"),
            (10, "=", "10: expected KEY = VALUE, [Interface], [Peer] or [Initiator]"),
        ])
    func names(_ line: Int, _ replacement: String, _ finding: String) {
        #expect(Samples.findings(Samples.small(line: line, replacement)) == ["weft0.conf:" + finding])
    }

    @Test(
        "headers",
        arguments: [
            ("[Pear]\nVNI = x", ["2: unknown section \"Pear\": did you mean [Peer]?"]),
            ("[WeftThings]\nVNI = x", ["2: unknown section: expected [Interface], [Peer] or [Initiator]"]),
            ("[]", ["2: unknown section: expected [Interface], [Peer] or [Initiator]"]),
            ("[", ["2: expected [Interface], [Peer] or [Initiator]: the closing ] is missing"]),
            ("[Peer", ["2: expected [Interface], [Peer] or [Initiator]: the closing ] is missing"]),
        ])
    func headers(_ text: String, _ findings: [String]) {
        // The first line keeps the interface that a misspelt header would otherwise be taken for.
        let all = Samples.findings("[Interface]\n\(text)\n")
        #expect(Array(all.dropFirst()) == findings.map { "weft0.conf:" + $0 })
    }

    @Test(
        "missing keys",
        arguments: [
            (2, "1: Address is missing in [Interface]: expected an address such as 10.77.0.1/24 or fd77::1/64"),
            (7, "6: VNI is missing in [Peer]: expected a number from 1 to 16777215"),
            (8, "6: Endpoint is missing in [Peer]: expected ADDRESS:PORT such as 192.0.2.2:6081 or [2001:db8::2]:6081"),
            (9, "6: AllowedIPs is missing in [Peer]: expected a prefix such as 10.77.0.2/32 or fd77::2/128"),
            (11, "6: Epoch is missing in [Peer]: expected a number from 1 to 4294967295"),
            (12, "6: SendKey is missing in [Peer]: expected 16 bytes in base64, 24 characters that end in =="),
            (13, "6: ReceiveKey is missing in [Peer]: expected 16 bytes in base64, 24 characters that end in =="),
        ])
    func missing(_ line: Int, _ finding: String) {
        #expect(Samples.findings(Samples.small(line: line, nil)) == ["weft0.conf:" + finding])
    }

    @Test("an empty file, and keys before any section")
    func noSections() {
        #expect(Samples.findings("") == [Self.noInterface])
        #expect(Samples.findings("# nothing\n\n") == [Self.noInterface])
        #expect(
            Samples.findings("MTU = 1280\n")
                == [Self.noInterface, "weft0.conf:1: expected [Interface], [Peer] or [Initiator] before the first key"])
    }

    @Test(
        "conflicts between peers",
        arguments: [
            ("VNI = 16777215", "VNI = 7", "27: VNI: 7 is the peer's of line 16 too: expected one of its own"),
            (
                "AllowedIPs = 0.0.0.0/0", "AllowedIPs = 10.1.0.0/16, 10.80.0.77/24",
                "29: AllowedIPs: 10.80.0.0/24 is the peer's of line 18 too: expected it in one peer only"
            ),
            (
                Samples.keys[2], Samples.keys[0],
                "32: SendKey: is the same key as SendKey on line 21: expected a key that occurs nowhere else"
            ),
            (
                Samples.keys[3], Samples.keys[0],
                "33: ReceiveKey: is the same key as SendKey on line 21: expected a key that occurs nowhere else"
            ),
            (
                Samples.keys[1], Samples.keys[0],
                "22: ReceiveKey: is the same key as SendKey on line 21: expected a key that occurs nowhere else"
            ),
            (
                "LocalIPs = 10.77.0.0/16, fd77::/48", "LocalIPs = 10.77.0.0/16",
                "18: AllowedIPs: fd80::/64 is IPv6: expected an IPv6 prefix in LocalIPs (line 6) too"
            ),
            (
                "MTU = 1400", "MTU = 1279",
                "5: MTU: expected a number from 1280 to 65535, as Address (line 3) holds IPv6, found \"1279\""
            ),
        ])
    func conflicts(_ old: String, _ new: String, _ finding: String) {
        #expect(Samples.findings(Samples.full.replacing(old, with: new)) == ["weft0.conf:" + finding])
    }

    @Test("families that only the default of LocalIPs lacks, and an MTU that LocalIPs forbids")
    func families() {
        let text = Samples.small.replacing("10.77.0.1/24, ", with: "")
        #expect(
            Samples.findings(text)
                == ["weft0.conf:9: AllowedIPs: 10.77.0.2/32 is IPv4: expected an IPv4 prefix in Address (line 2) too"])
        let finding = "4: MTU: expected a number from 1280 to 65535, as LocalIPs (line 3) holds IPv6, found \"600\""
        #expect(
            Samples.findings("[Interface]\nAddress = 10.0.0.1\nLocalIPs = fd77::/64\nMTU = 600\n")
                == ["weft0.conf:" + finding])
    }

    @Test("everything that is wrong is reported, by line")
    func all() {
        let text = """
            [Interface]
            MTU = 12k
            Colour = green
            [Peer]
            VNI = 0
            Endpoint = nowhere
            AllowedIPs = 10.0.0.0/8, x, 10.0.0.0/8
            SendKey = short
            SendKey = short
            [Peers]
            """
        #expect(
            Samples.findings(text).map { $0.dropFirst("weft0.conf:".count).prefix(while: { $0 != ":" }) }
                == ["1", "2", "3", "4", "4", "5", "6", "7", "7", "8", "9", "10"])
    }

    @Test("a hostile number of errors is cut short")
    func flood() throws {
        let findings = Samples.findings("[Interface]\nAddress = 10.0.0.1\n" + String(repeating: "x\n", count: 5000))
        #expect(findings.count == DiagnosticList.limit + 1)
        #expect(findings.last == "weft0.conf: and 4000 more errors")
    }

    @Test("what is no text")
    func bytes() {
        #expect(Samples.findings([0]) == ["weft0.conf:1: expected text, found a NUL byte"])
        #expect(
            Samples.findings(Array("[Interface]\nAddress".utf8) + [0]) == [
                "weft0.conf:2: expected text, found a NUL byte"
            ])
        #expect(Samples.findings([10, 10, 0xFF]) == ["weft0.conf:3: expected UTF-8 text, found other bytes"])
        #expect(Samples.findings([0xC3]) == ["weft0.conf:1: expected UTF-8 text, found other bytes"])
        #expect(Samples.findings([0xED, 0xA0, 0x80]) == ["weft0.conf:1: expected UTF-8 text, found other bytes"])
    }

    @Test("the size limit")
    func size() {
        let start = "[Interface]\nAddress = 10.0.0.1\n"
        let largest = start + String(repeating: "#", count: TunnelFile.maximumSize - start.utf8.count)
        #expect(Samples.findings(largest) == [])
        let finding = "weft0.conf: expected a tunnel file of at most 1048576 bytes, found a larger one"
        #expect(Samples.findings(largest + "#") == [finding])
    }
}
