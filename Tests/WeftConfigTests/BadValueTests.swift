// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import WeftConfig

/// One line of a good file is replaced, and one finding comes of it.
@Suite("Bad values in tunnel files")
struct BadValueTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let line: Int
        let replacement: String
        let finding: String

        init(_ line: Int, _ replacement: String, _ finding: String) {
            self.line = line
            self.replacement = replacement
            self.finding = finding
        }

        var testDescription: String { "line \(line): \(replacement)" }
    }

    private static let address = "expected an address such as 10.77.0.1/24 or fd77::1/64"
    private static let prefix = "expected a prefix such as 10.77.0.2/32 or fd77::2/128"
    private static let endpoint = "expected ADDRESS:PORT such as 192.0.2.2:6081 or [2001:db8::2]:6081"
    private static let offloads = "expected all, off, or some of checksum, tso, uso, gso, gro"
    private static let bindMode =
        "expected auto, or one of driver and generic, one of zero-copy and copy, or both"
    private static let mark = "expected off, or a number from 0 to 4294967295, decimal or hexadecimal after 0x"
    private static let key = "expected 16 bytes in base64, 24 characters that end in =="

    @Test(
        "in [Interface]",
        arguments: [
            Case(2, "Address = 10.77.0.1/33, fd77::1", "2: Address: \(address), found \"10.77.0.1/33\""),
            Case(2, "Address = 10.77.0.1, fd77::1, example", "2: Address: \(address), found \"example\""),
            Case(2, "Address = 10.77.0.1/24,, fd77::1", "2: Address: \(address), found nothing"),
            Case(2, "Address = 10.77.0.1/24, fd77::1,", "2: Address: \(address), found nothing"),
            Case(2, "Address =", "2: Address: \(address), found nothing"),
            Case(2, "Address = 10.77.0.1 fd77::1", "2: Address: \(address), found \"10.77.0.1 fd77::1\""),
            Case(2, "Address = 10.77.0.1/+24, fd77::1", "2: Address: \(address), found \"10.77.0.1/+24\""),
            Case(2, "Address = 0.0.0.0/0, fd77::1", "2: Address: \(address), found \"0.0.0.0/0\""),
            Case(2, "Address = 10.77.0.1, ff02::1", "2: Address: \(address), found \"ff02::1\""),
            Case(2, "Address = 10.77.0.1/8, fd77::1, 10.77.0.1/9", "2: Address: 10.77.0.1 occurs twice in the list"),
            Case(3, "ListenPort = 0", "3: ListenPort: expected a number from 1 to 65535, found \"0\""),
            Case(3, "ListenPort = 65536", "3: ListenPort: expected a number from 1 to 65535, found \"65536\""),
            Case(3, "ListenPort = +1", "3: ListenPort: expected a number from 1 to 65535, found \"+1\""),
            Case(3, "listenport=06081", "3: ListenPort: expected a number from 1 to 65535, found \"06081\""),
            Case(
                3, "ListenPort = 99999999999999999999",
                "3: ListenPort: expected a number from 1 to 65535, found \"99999999999999999999\""),
            Case(4, "MTU = 12k", "4: MTU: expected auto, or a number from 576 to 65535, found \"12k\""),
            Case(4, "MTU = 575", "4: MTU: expected auto, or a number from 576 to 65535, found \"575\""),
            Case(4, "MTU = -1", "4: MTU: expected auto, or a number from 576 to 65535, found \"-1\""),
            Case(4, "MTU =", "4: MTU: expected auto, or a number from 576 to 65535, found nothing"),
            Case(4, "MTU = # 1280", "4: MTU: expected auto, or a number from 576 to 65535, found nothing"),
            Case(
                4, "MTU = 1279",
                "4: MTU: expected a number from 1280 to 65535, as Address (line 2) holds IPv6, found \"1279\""),
            Case(
                4, "LocalIPs = 10.0.0.0/8, fd77::/x",
                "4: LocalIPs: expected a prefix such as 10.77.0.0/24 or fd77::/64, found \"fd77::/x\""),
            Case(4, "LocalIPs = 10.0.0.9/8, fd77::, 10.0.0.1/8", "4: LocalIPs: 10.0.0.0/8 occurs twice in the list"),
            Case(
                4, "FwMark = 0x",
                "4: FwMark: \(mark), found \"0x\""
            ),
            Case(
                4, "FwMark = 0x-1",
                "4: FwMark: \(mark), found \"0x-1\""
            ),
            Case(
                4, "FwMark = 4294967296",
                "4: FwMark: \(mark), found \"4294967296\""
            ),
            Case(
                4, "STUN = a.example, b.example:0",
                "4: STUN: expected HOST or HOST:PORT such as stun.example.org:3478 or [2001:db8::3]:3478, "
                    + "found \"b.example:0\""),
            Case(
                4, "STUN = a.example, a.example:3478",
                "4: STUN: a.example:3478 occurs twice in the list"),
            Case(4, "STUNResponder = yes", "4: STUNResponder: expected on or off, found \"yes\""),
            Case(
                4, "Listen = 224.0.0.1",
                "4: Listen: expected one of this host's addresses such as 192.0.2.1 or 2001:db8::1, found \"224.0.0.1\""
            ),
            Case(4, "Guard = yes", "4: Guard: expected auto, on or off, found \"yes\""),
            Case(4, "Table = 0", "4: Table: expected auto, off, or a number from 1 to 4294967295, found \"0\""),
            Case(4, "Table = main", "4: Table: expected auto, off, or a number from 1 to 4294967295, found \"main\""),
            Case(
                4, "StateDirectory = weft",
                "4: StateDirectory: expected an absolute path such as /var/lib/weft, found \"weft\""),
            Case(4, "Queues = 0", "4: Queues: expected auto, or a number from 1 to 64, found \"0\""),
            Case(4, "Queues = 65", "4: Queues: expected auto, or a number from 1 to 64, found \"65\""),
            Case(4, "PinThreads = 1", "4: PinThreads: expected on or off, found \"1\""),
            Case(4, "SourcePorts = off", "4: SourcePorts: expected a number from 1 to 64, found \"off\""),
            Case(4, "CopyDSCP = ecn", "4: CopyDSCP: expected on or off, found \"ecn\""),
            Case(4, "Driver = af_xdp", "4: Driver: expected auto, tun, xdp or private, found \"af_xdp\""),
            Case(4, "Underlay = a/b", "4: Underlay: expected an interface's name such as eth0, found \"a/b\""),
            Case(4, "BindMode = driver, generic", "4: BindMode: \(bindMode), found \"driver, generic\""),
            Case(4, "BindMode = fast", "4: BindMode: \(bindMode), found \"fast\""),
            Case(4, "NeedWakeup = 1", "4: NeedWakeup: expected on or off, found \"1\""),
            Case(
                4, "BusyPoll = 0",
                "4: BusyPoll: expected off, or a number of microseconds from 1 to 1000000, found \"0\""),
            Case(4, "Offloads = gso, lro", "4: Offloads: \(offloads), found \"gso, lro\""),
            Case(4, "Offloads = gso, GSO", "4: Offloads: \(offloads), found \"gso, GSO\""),
            Case(4, "Offloads = gso,", "4: Offloads: \(offloads), found \"gso,\""),
            Case(
                4, "MTU = \u{1B}[31m\"\\ü",
                "4: MTU: expected auto, or a number from 576 to 65535, found \"\\u{1B}[31m\\\"\\\\\\u{00FC}\""),
        ])
    func interface(_ test: Case) {
        #expect(Samples.findings(Samples.small(line: test.line, test.replacement)) == ["weft0.conf:" + test.finding])
    }

    @Test(
        "in [Peer]",
        arguments: [
            Case(7, "VNI = 0", "7: VNI: expected a number from 1 to 16777215, found \"0\""),
            Case(7, "VNI = 16777216", "7: VNI: expected a number from 1 to 16777215, found \"16777216\""),
            Case(7, "VNI = 0x7", "7: VNI: expected a number from 1 to 16777215, found \"0x7\""),
            Case(8, "Endpoint = 192.0.2.2", "8: Endpoint: \(endpoint), found \"192.0.2.2\""),
            Case(8, "Endpoint = 192.0.2.2:0", "8: Endpoint: \(endpoint), found \"192.0.2.2:0\""),
            Case(8, "Endpoint = 192.0.2.2:65536", "8: Endpoint: \(endpoint), found \"192.0.2.2:65536\""),
            Case(8, "Endpoint = 2001:db8::2:6081", "8: Endpoint: \(endpoint), found \"2001:db8::2:6081\""),
            Case(8, "Endpoint = host.example:6081", "8: Endpoint: \(endpoint), found \"host.example:6081\""),
            Case(8, "Endpoint = 0.0.0.0:6081", "8: Endpoint: expected the address of one host, found \"0.0.0.0:6081\""),
            Case(
                8, "Endpoint = 224.0.0.1:6081",
                "8: Endpoint: expected the address of one host, found \"224.0.0.1:6081\""),
            Case(
                8, "Endpoint = 255.255.255.255:1",
                "8: Endpoint: expected the address of one host, found \"255.255.255.255:1\""),
            Case(
                8, "Endpoint = [ff02::1]:6081",
                "8: Endpoint: expected the address of one host, found \"[ff02::1]:6081\""),
            Case(
                8, "Endpoint = [fe80::1]:6081",
                "8: Endpoint: expected an address that needs no zone, found \"[fe80::1]:6081\""),
            Case(
                8, "Endpoint = [::ffff:192.0.2.2]:6081",
                "8: Endpoint: expected the IPv4 address by itself, found \"[::ffff:192.0.2.2]:6081\""),
            Case(9, "AllowedIPs = 10.0.0.0/8, 10.0.0", "9: AllowedIPs: \(prefix), found \"10.0.0\""),
            Case(9, "AllowedIPs =", "9: AllowedIPs: \(prefix), found nothing"),
            Case(9, "AllowedIPs = fd77::/64, fd77::5/64", "9: AllowedIPs: fd77::/64 occurs twice in the list"),
            Case(
                10, "PersistentKeepalive = 65536",
                "10: PersistentKeepalive: expected off, or a number of seconds from 0 to 65535, found \"65536\""),
            Case(11, "Epoch = 0", "11: Epoch: expected a number from 1 to 4294967295, found \"0\""),
            Case(11, "Epoch = 4294967296", "11: Epoch: expected a number from 1 to 4294967295, found \"4294967296\""),
            Case(12, "SendKey =", "12: SendKey: \(key), found nothing"),
            Case(
                12, "SendKey = \(Samples.keys[2].dropLast())", "12: SendKey: \(key), found 23 other bytes (not shown)"),
            Case(13, "ReceiveKey = <16 bytes, base64>", "13: ReceiveKey: \(key), found 18 other bytes (not shown)"),
            Case(
                10, "RateLimit = fast",
                "10: RateLimit: expected off, or a number of packets per second from 0 to 4294967295, found \"fast\""),
            Case(10, "CheckSource = yes", "10: CheckSource: expected on or off, found \"yes\""),
        ])
    func peer(_ test: Case) {
        #expect(Samples.findings(Samples.small(line: test.line, test.replacement)) == ["weft0.conf:" + test.finding])
    }

    @Test(
        "a key in the wrong place isn't shown",
        arguments: [
            (11, "Epoch = \(Samples.keys[2])"), (9, "AllowedIPs = 10.0.0.0/8, \(Samples.keys[2])"),
            (12, "SendKye = \(Samples.keys[2])"), (12, Samples.keys[2]), (12, "SendKey\n\(Samples.keys[2])"),
            (12, "SendKey = \(Samples.keys[2].prefix(14))\n\(Samples.keys[2].dropFirst(14))"),
            (8, "Endpoint = \(Samples.keys[2].prefix(9)):6081"), (12, "[\(Samples.keys[2])]"),
            (10, "PersistentKeepal\(Samples.keys[2].suffix(10))"),
            (12, "SendKey = '\(Samples.keys[2])'"),
        ])
    func misplacedKey(_ line: Int, _ replacement: String) {
        let findings = Samples.findings(Samples.small(line: line, replacement))
        #expect(!findings.isEmpty)
        #expect(!Samples.showsKey(findings.joined(separator: "\n")))
    }
}
