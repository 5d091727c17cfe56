// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import WeftConfig

@Suite("What joins a host with an overlay")
struct OverlayServicesTests {
    private func file(_ lines: String...) -> String {
        Samples.small.replacing("MTU = 1280", with: lines.joined(separator: "\n"))
    }

    @Test("all of it")
    func good() throws {
        let text = file(
            "DNS = 10.77.0.53, fd77::53", "SOCKS5 = /run/user/1000/socks", "SOCKS5Login = me:a:b",
            "Forward = 127.0.0.1:8080 -> 10.77.0.2:80, udp/[::1]:53->ns.overlay:53, /tmp/web -> web:80",
            "Expose = 22 -> 127.0.0.1:22, UDP/22 -> [::1]:53")
        let services = try TunnelFile.parse(text, name: "weft0.conf").interface.services
        #expect(services.resolvers.map(\.description) == ["10.77.0.53", "fd77::53"])
        #expect(services.socks5 == .path("/run/user/1000/socks"))
        #expect(services.socks5Login?.user == "me" && services.socks5Login?.password == "a:b")
        #expect(
            services.forwards.map(\.description) == [
                "tcp/127.0.0.1:8080 -> 10.77.0.2:80", "udp/[::1]:53 -> ns.overlay:53", "tcp//tmp/web -> web:80",
            ])
        #expect(services.exposures.map(\.description) == ["tcp/22 -> 127.0.0.1:22", "udp/22 -> [::1]:53"])
        #expect(!services.isEmpty)
    }

    @Test(
        "what others reach, what is none, and what a host's own interface has no use for",
        arguments: [
            ("SOCKS5 = 0.0.0.0:1080", "SOCKS5: others than this host's processes reach 0.0.0.0:1080"),
            ("SOCKS5 = socks", "SOCKS5: expected a loopback address such as 127.0.0.1:1080"),
            ("SOCKS5Login = secret", "SOCKS5Login: expected USER:PASSWORD, 1 to 255 bytes each, found something else"),
            ("Forward = 192.0.2.1:80 -> 10.77.0.2:80", "Forward: expected a rule such as"),
            ("Forward = udp//tmp/x -> 10.77.0.2:80", "Forward: expected a rule such as"),
            ("Forward = 127.0.0.1:80", "Forward: expected a rule such as"),
            ("Expose = 0 -> 127.0.0.1:22", "Expose: expected a rule such as 22 -> 127.0.0.1:22"),
            ("Expose = 22 -> 127.0.0.1:1, 22 -> 127.0.0.1:2", "Expose: tcp/22 occurs twice"),
            ("Driver = tun\nExpose = 22 -> 127.0.0.1:1", "Expose: needs Driver = private"),
        ])
    func bad(_ lines: String, _ finding: String) {
        let findings = Samples.findings(file(lines))
        #expect(findings.count == 1 && findings[0].contains(finding), "\(findings)")
        #expect(!findings.joined().contains("secret"))
    }
}
