// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration.Private {
    @Test("SOCKS5, Forward and Expose join the host with the overlay, and names are the overlay's")
    func joins() async throws {
        let (hosts, user, file) = try await pair(
            "Driver = private",
            [
                "DNS = 10.77.0.2", "SOCKS5 = 127.0.0.1:1080", "Forward = 127.0.0.1:8080 -> 10.77.0.2:80, \(Self.echo)",
                "Expose = 22 -> 127.0.0.1:2222, udp/7 -> 127.0.0.1:7777",
            ])
        let (left, right) = (hosts.left, hosts.right)
        let tunnel = try user.start("up", file)
        try await eventually("an answer", within: 20) {
            if tunnel.hasEnded { throw TestFailure("\(tunnel.output)") }
            return try await right.pings("10.77.0.1")
        }
        try await right.shell(
            """
            head -c 8000000 /dev/urandom >\(right.folder)/file
            """)
        let sum = try await right.shell("sha256sum <\(right.folder)/file")
        let servers = [
            try right.start([
                "socat", "TCP4-LISTEN:80,fork,reuseaddr", "SYSTEM:read line; exec cat \(right.folder)/file",
            ]),
            try right.start(["socat", "UDP4-RECVFROM:7,fork", "EXEC:cat"]),
            try left.start(["socat", "TCP4-LISTEN:2222,bind=127.0.0.1,fork,reuseaddr", "EXEC:cat"]),
            try left.start(["socat", "UDP4-RECVFROM:7777,bind=127.0.0.1,fork", "EXEC:cat"]),
        ]
        defer { for server in servers { server.kill(SIGKILL) } }
        try await eventually("the servers") {
            let (web, echo) = (
                try await right.shell("ss -Hltn sport = :80"), try await left.shell("ss -Hltn sport = :2222")
            )
            return web != "" && echo != ""
        }
        // The client has finished sending before the server begins.
        #expect(try await left.shell("echo please | socat -t 20 - TCP4:127.0.0.1:8080 | sha256sum") == sum)
        let socks = "curl -s --http0.9 --max-time 20 -x socks5h://127.0.0.1:1080"
        #expect(try await left.shell("\(socks) http://10.77.0.2/ | sha256sum") == sum)
        // Nobody answers at the overlay's resolver, and the host's isn't asked.
        let unknown = try await left.attempt(["sh", "-c", "\(socks) http://web.overlay/ >/dev/null"])
        #expect(unknown.status != 0)
        // From the overlay to the host.
        #expect(try await right.shell("echo hello | socat -t 5 - TCP4:10.77.0.1:22") == "hello\n")
        #expect(try await right.shell("echo hello | socat -t 3 - UDP4:10.77.0.1:7") == "hello\n")
        #expect(try await left.shell("echo hello | socat -t 3 - UDP4:127.0.0.1:7070") == "hello\n")
        let show = try await user.weft("show", "--json")
        #expect(!show.standardOutput.contains("\"refusedCalls\":[{"), "\(show)")
        #expect(try await user.weft("down", "weft0").status == 0)
        #expect(try await tunnel.wait().status == 0)
    }

    private static let echo = "udp/127.0.0.1:7070 -> 10.77.0.2:7"
}
