// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftConfig

@Suite("Names in a tunnel file")
struct NameTests {
    @Test(
        "are names",
        arguments: [
            "host.example:6081", "a:1", "_weft._udp.example:65535", "under_score:6081", "host.example.:6081",
            "xn--nxasmq6b.example:6081", "10.77.0.example:6081", "1a:6081",
        ])
    func names(text: String) throws {
        let name = try #require(EndpointName(text))
        #expect(name.description == text)
    }

    @Test(
        "are none",
        arguments: [
            ":6081", ":+6081", "host:+6081", "host:06081", "host:-1", "host:0", "host:65536", "host:", "host", ".:6081",
            "..:6081",
            "a..b:6081", "-a:6081", "a-:6081", "a b:6081", "192.0.2.1:6081", "192.0.2.1.:6081", "2001:db8::2:6081",
            "ü.example:6081",
            String(repeating: "a", count: 64) + ":6081", String(repeating: "a.", count: 127) + "a:6081",
        ])
    func others(text: String) {
        #expect(EndpointName(text) == nil)
    }

    @Test("Resolver takes addresses of hosts, at most 8")
    func resolvers() throws {
        func file(_ value: String) -> String {
            "[Interface]\nAddress = 10.77.0.1/24\nResolver = \(value)\n"
        }
        #expect(
            try TunnelFile.parse(file("192.0.2.53, 2001:db8::53"), name: "weft0.conf").interface.resolvers.map(
                \.description)
                == ["192.0.2.53", "2001:db8::53"])
        for bad in ["", "0.0.0.0", "host.example", "192.0.2.53:53", "ff02::1", "fe80::1", "192.0.2.53, 192.0.2.53"] {
            let findings = Samples.findings(file(bad))
            #expect(findings.contains { $0.contains("Resolver: ") }, "\(bad): \(findings)")
        }
        let nine = (1...9).map { "192.0.2.\($0)" }.joined(separator: ", ")
        #expect(
            Samples.findings(file(nine)).contains { $0.contains("Resolver: expected at most 8 addresses, found 9") })
    }
}
