// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

@testable import WeftConfig

@Suite("Files of key servers")
struct InitiatorFileTests {
    private static let initiatorKeys = InitiatorKey.names.joined(separator: ", ")

    @Test("two initiators, with and without every key")
    func good() throws {
        let file = try TunnelFile.parse(Samples.keyServer, name: "keys.conf")
        #expect(file.peers.isEmpty)
        #expect(file.initiators.map(\.publicKey.description) == Array(Samples.publicKeys.prefix(2)))
        #expect(file.initiators.map(\.networks) == [4096, 1024])
        #expect(file.initiators.map(\.suite) == [.aes256GCM, .aes128GCM])
        #expect(file.initiators[0].allowedIPs.map(\.description) == ["10.80.0.0/16", "fd80::/64"])
        #expect(file.initiators.map(\.lines.header) == [8, 14])
        #expect(file.initiators[1].lines[.allowedIPs] == 16)
        #expect(file.initiators[1].lines[.networks] == 14)
        #expect(file.interface.controlPort == 6082)
        // The second may ask for addresses that the first may ask for, too.
        #expect(file.routedPrefixes.map(\.description) == ["10.80.0.0/16", "fd80::/64", "10.81.0.0/16"])
    }

    @Test("Networks of all initiators, for which the VNIs last or don't")
    func sumOfNetworks() {
        func findings(_ second: Int) -> [String] {
            Samples.findings(
                Samples.keyServer.replacing("4096", with: "1048576")
                    .replacing("[Initiator] # second", with: "[Initiator]\nNetworks = \(second)"))
        }
        #expect(findings(69_905) == [])
        #expect(
            findings(69_906) == [
                """
                weft0.conf:15: Networks: all initiators together may hold 1118482: expected at most 1118481, for which the \
                VNIs last, 15 for each network as released ones rest for a while: lower Networks, whose default is 1024, or \
                share the initiators out among several key servers
                """
            ])
    }

    @Test("requests a second", arguments: [("", 200), ("RequestLimit = 1", 1), ("RequestLimit = 100000", 100_000)])
    func requestLimit(_ line: String, _ rate: Int) throws {
        let file = try TunnelFile.parse(Samples.keyServer.replacing("Networks = 4096", with: line), name: "keys.conf")
        #expect(file.initiators.map(\.requestsPerSecond) == [rate, 200])
    }

    @Test("limits of Networks", arguments: [("1", 1), ("1048576", 1_048_576)])
    func networks(_ text: String, _ count: Int) throws {
        let file = try TunnelFile.parse(Samples.keyServer.replacing("4096", with: text), name: "keys.conf")
        #expect(file.initiators[0].networks == count)
    }

    @Test(
        "bad values and keys",
        arguments: [
            ("Networks = 4096", "Networks = 0", "11: Networks: expected a number from 1 to 1048576, found \"0\""),
            (
                "Networks = 4096", "Networks = 1048577",
                "11: Networks: expected a number from 1 to 1048576, found \"1048577\""
            ),
            ("Networks = 4096", "Networks =", "11: Networks: expected a number from 1 to 1048576, found nothing"),
            (
                "Networks = 4096", "Networks = 1\nnetworks = 2",
                "12: Networks: stands here and on line 11: expected it once in a section"
            ),
            (
                "Networks = 4096", "RequestLimit = 0",
                "11: RequestLimit: expected a number of requests a second from 1 to 100000, found \"0\""
            ),
            ("Networks = 4096", "Network = 4096", "11: unknown key \"Network\": did you mean Networks?"),
            ("Networks = 4096", "Colour = green", "11: unknown key: expected one of \(initiatorKeys)"),
            ("Networks = 4096", "MTU = 1400", "11: MTU: unknown key in [Initiator]: it belongs in [Interface]"),
            (
                "Networks = 4096", "Endpoint = 192.0.2.2:6081",
                "11: Endpoint: unknown key in [Initiator]: it belongs in [Peer]"
            ),
            (
                "ControlPort = 6082", "AllowedIPs = 10.80.0.0/16",
                "5: AllowedIPs: unknown key in [Interface]: it belongs in [Peer] or [Initiator]"
            ),
            (
                "ControlPort = 6082", "Networks = 7",
                "5: Networks: unknown key in [Interface]: it belongs in [Initiator]"
            ),
            ("AES-256-GCM", "ROT13", "12: Suite: expected AES-128-GCM or AES-256-GCM, found \"ROT13\""),
            (
                "fd80::/64", "fd80::/64, 10.80.1.0/16",
                "10: AllowedIPs: 10.80.0.0/16 occurs twice in the list"
            ),
            (
                "fd80::/64", "x", "10: AllowedIPs: expected a prefix such as 10.77.0.2/32 or fd77::2/128, found \"x\""
            ),
            (
                "AllowedIPs = 10.80.0.0/16, fd80::/64", "",
                "8: AllowedIPs is missing in [Initiator]: expected a prefix such as 10.77.0.2/32 or fd77::2/128"
            ),
            (
                "PublicKey = \(Samples.publicKeys[0])", "",
                """
                8: PublicKey is missing in [Initiator]: expected what `weft pubkey` prints at the initiator, \
                124 characters that end in ==
                """
            ),
            (
                Samples.publicKeys[0], "hello",
                """
                9: PublicKey: expected what `weft pubkey` prints at the initiator, 124 characters that end in ==, \
                found "hello"
                """
            ),
            (
                Samples.publicKeys[1], Samples.publicKeys[0],
                "15: PublicKey: is the key of the initiator of line 9 too: expected one of its own"
            ),
            (
                ", fd77::1/64", "",
                "10: AllowedIPs: fd80::/64 is IPv6: expected an IPv6 prefix in Address (line 2) too"
            ),
            (
                "PrivateKeyFile = host.key", "",
                "1: PrivateKeyFile is missing in [Interface]: expected a path such as /etc/weft/host.key, made by `weft genkey`"
            ),
            (
                "ControlPort = 6082", "ControlPort = 6081",
                """
                5: ControlPort: is ListenPort too: leave it out, as Weft's own control needs no port, \
                or choose another
                """
            ),
            ("[Initiator] # second", "[Initator]", "14: unknown section \"Initator\": did you mean [Initiator]?"),
        ])
    func bad(_ old: String, _ new: String, _ finding: String) {
        #expect(Samples.findings(Samples.keyServer.replacing(old, with: new)) == ["weft0.conf:" + finding])
    }

    @Test("peers and initiators in one file, whichever comes first", arguments: [true, false])
    func both(_ peerFirst: Bool) {
        let interface = "[Interface]\nAddress = 10.0.0.1/24\nPrivateKeyFile = host.key\n"
        let peer = "[Peer]\nPublicKey = \(Samples.publicKeys[0])\nAllowedIPs = 10.0.0.2/32\n"
        let initiator = "[Initiator]\nPublicKey = \(Samples.publicKeys[1])\nAllowedIPs = 10.0.1.0/24\n"
        let text = interface + (peerFirst ? peer + initiator : initiator + peer)
        let place =
            peerFirst
            ? "[Peer] stands on line 4 and [Initiator] on line 7" : "[Peer] stands on line 7 and [Initiator] on line 4"
        #expect(
            Samples.findings(text) == [
                """
                weft0.conf:7: \(place): expected one kind in a file: move the initiators to a file of their own, \
                with another ListenPort, for weft keyserve
                """
            ])
    }

    @Test("an initiator with this host's own key")
    func ownKey() throws {
        let identity = try Identity.generate()
        let secret = identity.pem()
        let pem = String(decoding: secret.span.indices.map { secret.span[$0] }, as: UTF8.self)
        let line = pem.split(separator: "\n").dropFirst().dropLast().joined()
        let text = Samples.keyServer.replacing("PrivateKeyFile = host.key", with: "PrivateKey = \(line)")
        #expect(Samples.findings(text) == [])
        #expect(
            Samples.findings(text.replacing(Samples.publicKeys[1], with: identity.publicKey.description))
                == ["weft0.conf:15: PublicKey: is this host's own key: expected the initiator's"])
    }
}
