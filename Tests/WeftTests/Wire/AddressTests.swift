// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Addresses as text")
struct AddressTests {
    @Test(
        "IP addresses that are written as they should be read back as they were",
        arguments: [
            "0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1:2:3:4",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8:0:1:1:1:1:1", "::ffff:192.0.2.1",
        ])
    func addressRoundTrip(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == text)
        #expect(address.family == (text.contains(":") ? .v6 : .v4))
        #expect(IPAddress(text.uppercased()) == address)
        #expect(address.bytes.count * 8 == address.family.bitWidth)
        #expect(Prefix(text) == Prefix(host: address))
    }

    @Test(
        "what is no IP address",
        arguments: [
            "", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "0x1.2.3.4",
            "1.2.3.-4",
            "1.2.3.4/8", ":", ":::", "1::2::3", "12345::", "fe80::1%eth0", "[::1]", "::1]", "g::", "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9", "10.0.0.1\u{0}", "10.0.0.1\u{0}junk", "::1\u{0}", "\u{0}", "１.2.3.4", "::１",
        ])
    func noAddress(text: String) {
        #expect(IPAddress(text) == nil)
        #expect(Prefix(text + "/8") == nil)
        #expect(
            Endpoint(text + ":6081") == nil || text.isEmpty == false && IPAddress(text.dropFirst().dropLast()) != nil)
    }

    @Test("random addresses read back as they were")
    func randomAddresses() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<2_000 {
            let v4 = IPAddress(v4: .random(in: 0 ... .max, using: &generator))
            // Runs of zeros are what IPv6's short form is about.
            let mask = (generator.next() & generator.next(), generator.next() & generator.next())
            let v6 = IPAddress(v6: generator.next() & mask.0, generator.next() & mask.1)
            for address in [v4, v6] {
                #expect(IPAddress(address.description) == address, "seed \(generator.seed)")
                let prefix = Prefix(address, length: .random(in: 0...address.family.bitWidth, using: &generator))
                #expect(prefix.flatMap { Prefix($0.description) } == prefix, "seed \(generator.seed)")
                let endpoint = Endpoint(address, port: .random(in: 1...0xFFFF, using: &generator))
                #expect(Endpoint(endpoint.description) == endpoint, "seed \(generator.seed)")
            }
        }
    }

    @Test(
        "prefixes: host bits are cleared",
        arguments: [
            ("10.1.2.3/8", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3/32"), ("10.1.2.3/0", "0.0.0.0/0"),
            ("255.255.255.255/31", "255.255.255.254/31"), ("2001:db8::1/32", "2001:db8::/32"), ("::1", "::1/128"),
            ("ffff::ffff/0", "::/0"), ("1:2:3:4:5:6:7:8/65", "1:2:3:4::/65"),
            ("1:2:3:4:8000::/65", "1:2:3:4:8000::/65"),
        ])
    func prefixes(text: String, expected: String) {
        #expect(Prefix(text)?.description == expected)
    }

    @Test(
        "what is no prefix",
        arguments: [
            "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/ 8", "10.0.0.0/8 ",
            "10.0.0.0/8/8", "/8", "10.0.0.0//8", "::/129", "::/1e2", "::/99999999999999999999", "10.0.0.0/8\u{0}",
            "10.0.0.0/٨",
        ])
    func noPrefix(text: String) {
        #expect(Prefix(text) == nil)
        #expect(InterfaceAddress(text) == nil)
    }

    @Test("an interface's address keeps its host bits")
    func interfaceAddress() throws {
        let address = try #require(InterfaceAddress("10.77.0.1/24"))
        #expect(address.description == "10.77.0.1/24")
        #expect(address.prefix.description == "10.77.0.0/24")
        #expect(InterfaceAddress("fd77::1")?.description == "fd77::1/128")
        #expect(Prefix(IPAddress(v4: 1), length: 33) == nil)
        #expect(Prefix(IPAddress(v4: 1), length: -1) == nil)
    }

    @Test("a prefix contains its own, never the other family's")
    func containment() throws {
        let wide = try #require(Prefix("10.0.0.0/8"))
        let narrow = try #require(Prefix("10.1.0.0/16"))
        let everything = try #require(Prefix("0.0.0.0/0"))
        #expect(wide.contains(narrow) && wide.contains(wide) && !narrow.contains(wide))
        #expect(everything.contains(wide) && !wide.contains(everything))
        #expect(try !everything.contains(#require(Prefix("::/0"))))
        #expect(try !everything.contains(#require(IPAddress("::1"))))
    }

    @Test(
        "what is no endpoint",
        arguments: [
            "", ":", ":6081", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:06081", "10.0.0.1:+1",
            "10.0.0.1: 1", "2001:db8::1:6081", "[2001:db8::1]", "[2001:db8::1]6081", "[10.0.0.1]:6081", "[::1:6081",
            "::1]:6081", "[]:6081", "[[::1]]:6081", "host:6081", "10.0.0.1:6081\u{0}", "10.0.0.1\u{0}:6081",
        ])
    func noEndpoint(text: String) {
        #expect(Endpoint(text) == nil)
    }

    @Test("MAC addresses: with all five colons or with none")
    func macs() {
        let address = MACAddress(bits: 0x0200_5E10_00FF)
        for text in ["02:00:5e:10:00:ff", "02005e1000ff", "02:00:5E:10:00:FF", address.description] {
            #expect(MACAddress(text) == address)
        }
        for text in [
            "", "02005e1000f", "02005e1000fff", "02:00:5e:10:00:f", "0:2:0:5e:10:0:ff", "02005e1000ff:",
            ":02005e1000ff",
            "020:05e:100:0ff:", "02:00:5e:10:00ff:", "02-00-5e-10-00-ff", "+2005e1000ff", "-2:00:5e:10:00:ff",
            "02:00:5e:10:00:fg", "０2005e1000ff", "02:00:5e:10:00:ff\u{0}", ":::::02005e1000ff",
        ] {
            #expect(MACAddress(text) == nil, "\(text)")
        }
        #expect(MACAddress(bits: .max).bits == 0xFFFF_FFFF_FFFF)
    }

    @Test("order: IPv4 before IPv6, then numerically")
    func order() {
        let sorted = ["0.0.0.0", "9.255.255.255", "10.0.0.0", "255.0.0.0", "::", "::1", "1::", "ffff::"]
        var generator = SeededGenerator.fresh()
        let shuffled = sorted.shuffled(using: &generator).compactMap { IPAddress($0) }
        #expect(shuffled.sorted().map(\.description) == sorted)
    }
}
