// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftConfig

@Suite("Good tunnel files")
struct GoodFileTests {
    private func bytes(of key: ManualKey) -> [UInt8] {
        key.withBytes { span in (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
        }
    }

    @Test("the documentation's example, with its defaults")
    func small() throws {
        let file = try TunnelFile.parse(Samples.small, name: "weft0.conf")
        #expect(file.file == "weft0.conf")
        let interface = file.interface
        #expect(interface.addresses.map(\.description) == ["10.77.0.1/24", "fd77::1/64"])
        #expect(interface.localIPs.map(\.description) == ["10.77.0.0/24", "fd77::/64"])
        #expect(interface.listenPort == 6081)
        #expect(interface.mtu == 1280)
        #expect(interface.firewallMark == nil)
        #expect(interface.table == .automatic)
        #expect(interface.stateDirectory == "/var/lib/weft")
        #expect(interface.queues == nil)
        #expect(!interface.pinsThreads)
        #expect(interface.guarding == .auto)
        #expect(interface.sourcePorts == 1)
        #expect(!interface.copiesDSCP)
        #expect(interface.offloads == .all)
        #expect(interface.stunServers.isEmpty && !interface.respondsToSTUN)
        let peer = try #require(file.peers.first)
        #expect(file.peers.count == 1)
        #expect(peer.vni == 7)
        #expect(peer.endpoint == Endpoint("192.0.2.2:6081"))
        #expect(peer.persistentKeepalive == 25)
        let keys = try #require(peer.keys)
        #expect(keys.epoch == 1)
        #expect(
            bytes(of: keys.send) == [
                0xAB, 0xCD, 0xEF, 1, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 1, 0x23, 0x45, 0x67, 0x89,
            ])
        #expect(peer.rateLimit == nil)
        #expect(!peer.checksSource)
        #expect(
            file.routes(for: peer).map { "\($0.source) \($0.destination)" }
                == ["10.77.0.0/24 10.77.0.2/32", "fd77::/64 fd77::2/128"])
    }

    @Test("STUN servers and the responder")
    func stun() throws {
        let text = Samples.full.replacing(
            "Table = 77", with: "STUN = a.example, 192.0.2.3:99, [::1]\nSTUNResponder = ON")
        let interface = try TunnelFile.parse(text, name: "weft0.conf").interface
        #expect(interface.stunServers.map(\.description) == ["a.example:3478", "192.0.2.3:99", "[::1]:3478"])
        #expect(interface.respondsToSTUN)
    }

    @Test("every key, two peers, and the lines they stand on")
    func full() throws {
        let file = try TunnelFile.parse(Samples.full, name: "weft0.conf")
        #expect(file.interface.listenPort == 7081)
        #expect(file.interface.mtu == 1400)
        #expect(file.interface.localIPs.map(\.description) == ["10.77.0.0/16", "fd77::/48"])
        #expect(file.interface.firewallMark == 0xCA6C)
        #expect(file.interface.table == .number(77))
        #expect(file.interface.stateDirectory == "/srv/weft/state")
        #expect(file.interface.queues == 4)
        #expect(file.interface.pinsThreads)
        #expect(file.interface.sourcePorts == 16)
        #expect(file.interface.copiesDSCP)
        #expect(file.interface.offloads == [.checksum, .tso, .gro])
        #expect(file.interface.lines.header == 2)
        #expect(file.interface.lines[.localIPs] == 6)
        #expect(file.peers.map(\.vni) == [7, 0xFF_FFFF])
        #expect(file.peers.map(\.rateLimit) == [50000, nil])
        #expect(file.peers.map(\.checksSource) == [true, false])
        #expect(file.peers.map(\.persistentKeepalive) == [25, nil])
        #expect(file.peers.compactMap(\.keys?.epoch) == [3, UInt32.max])
        #expect(file.peers.compactMap(\.endpoint?.description) == ["192.0.2.2:6081", "[2001:db8::2]:65535"])
        #expect(file.peers[0].allowedIPs.map(\.description) == ["10.80.0.0/24", "fd80::/64"])
        #expect(file.peers.map(\.lines.header) == [15, 26])
        #expect(file.peers[1].lines[.receiveKey] == 33)
        #expect(file.routes(for: file.peers[0]).count == 2)
    }

    @Test(
        "ways of writing",
        arguments: [
            Samples.small.uppercasedNames, Samples.small.replacing("\n", with: "\r\n"),
            Samples.small.replacing(" = ", with: "="), Samples.small.replacing(" = ", with: "\t =  \t"),
            Samples.small.replacing("\n", with: " # and so on\n"), "\u{FEFF}" + Samples.small,
            Samples.small.replacing("[Peer]", with: "  [ pEER ]  "), String(Samples.small.dropLast()),
            Samples.small.replacing("\n", with: "\n\n# [Peer]\n   \n"),
        ])
    func spellings(_ text: String) throws {
        let file = try TunnelFile.parse(text, name: "weft0.conf")
        #expect(file.peers.map(\.vni) == [7])
        #expect(file.interface.firstMTU == 1280)
    }

    @Test("AF_XDP and its options")
    func xdp() throws {
        let plain = try TunnelFile.parse("[Interface]\nAddress = 10.0.0.1", name: "weft0.conf").interface
        #expect(plain.driver == .auto)
        #expect(plain.underlay == nil)
        #expect(plain.xdp == XDPOptions())
        let text = """
            [Interface]
            Address = 10.0.0.1
            Driver = XDP
            Underlay = eth0
            BindMode = zero-copy , Driver
            NeedWakeup = off
            BusyPoll = 20
            """
        let interface = try TunnelFile.parse(text, name: "weft0.conf").interface
        #expect(interface.driver == .xdp)
        #expect(interface.underlay == "eth0")
        #expect(interface.xdp.attachment == .driver)
        #expect(interface.xdp.copying == .zeroCopy)
        #expect(!interface.xdp.needsWakeup)
        #expect(interface.xdp.busyPoll == 20)
    }

    @Test("an interface alone needs no peer")
    func lonely() throws {
        let file = try TunnelFile.parse("[Interface]\nAddress = 10.0.0.1", name: "weft0.conf")
        #expect(file.peers.isEmpty)
        #expect(file.interface.localIPs.map(\.description) == ["10.0.0.1/32"])
        #expect(file.interface.listenPort == 6081)
        #expect(file.interface.mtu == nil && file.interface.firstMTU == 1280)
        #expect(file.interface.lines[.mtu] == 1)
    }

    @Test("an address to listen at, of the endpoints' family")
    func listen() throws {
        let text = "[Interface]\nAddress = 10.0.0.1/24\nListen = 2001:db8::1\n"
        #expect(try TunnelFile.parse(text, name: "weft0.conf").interface.listenAddress == IPAddress("2001:db8::1"))
        #expect(
            Samples.findings(Samples.small(line: 4, "Listen = 2001:db8::1")).contains {
                $0.contains("is IPv4, and Listen (line 4) is IPv6: leave one of them out")
            })
    }

    @Test("two addresses in one prefix make one local prefix")
    func sharedPrefix() throws {
        let file = try TunnelFile.parse("[Interface]\nAddress = 10.0.0.1/24,10.0.0.2/24", name: "weft0.conf")
        #expect(file.interface.localIPs.map(\.description) == ["10.0.0.0/24"])
    }

    @Test("MTU below 1280 is fine without IPv6")
    func smallMTU() throws {
        let file = try TunnelFile.parse("[Interface]\nAddress = 10.0.0.1/24\nMTU = 576", name: "weft0.conf")
        #expect(file.interface.mtu == 576)
        for text in ["auto", "Auto"] {
            let both = try TunnelFile.parse(
                "[Interface]\nAddress = 10.0.0.1, fd00::1\nMTU = \(text)", name: "weft0.conf")
            #expect(both.interface.mtu == nil)
        }
    }

    @Test(
        "firewall marks",
        arguments: [("off", nil), ("OFF", nil), ("0", nil), ("0x0", nil), ("51820", 51820), ("0XFFffffff", UInt32.max)])
    func firewallMark(_ text: String, _ mark: UInt32?) throws {
        let file = try TunnelFile.parse("[Interface]\nAddress = 10.0.0.1\nFwMark = \(text)", name: "weft0.conf")
        #expect(file.interface.firewallMark == mark)
    }

    @Test(
        "tables",
        arguments: [
            ("auto", InterfaceConfiguration.RoutingTable.automatic), ("Off", .off), ("4294967295", .number(UInt32.max)),
        ])
    func table(_ text: String, _ table: InterfaceConfiguration.RoutingTable) throws {
        let file = try TunnelFile.parse("[Interface]\nAddress = 10.0.0.1\nTable = \(text)", name: "weft0.conf")
        #expect(file.interface.table == table)
    }

    @Test("nested prefixes of two peers are no conflict")
    func nested() {
        #expect(Samples.findings(Samples.full.replacing("0.0.0.0/0", with: "10.80.0.0/16")) == [])
    }

    @Test("a thousand peers")
    func many() throws {
        var text = "[Interface]\nAddress = 10.77.0.1/24\n"
        for index in 1...1000 {
            func key(_ role: UInt8) -> String {
                let bytes = [role, UInt8(index / 256), UInt8(index % 256)] + [UInt8](repeating: 7, count: 13)
                return bytes.base64
            }
            text += """
                [Peer]
                VNI = \(index)
                Endpoint = 192.0.2.2:6081
                AllowedIPs = 10.\(100 + index / 256).\(index % 256).0/24
                Epoch = 1
                SendKey = \(key(1))
                ReceiveKey = \(key(2))

                """
        }
        let file = try TunnelFile.parse(text, name: "weft0.conf")
        #expect(file.peers.count == 1000)
    }
}

extension String {
    fileprivate var uppercasedNames: String {
        split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard let equals = line.firstIndex(of: "=") else { return line.uppercased() }
            return line[..<equals].uppercased() + line[equals...]
        }.joined(separator: "\n")
    }
}
