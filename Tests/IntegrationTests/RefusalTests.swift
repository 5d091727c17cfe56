// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Refusals")
    struct Refusals {
        private func expect(
            _ output: Output, status: Int32, saying words: String..., sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(output.status == status, "\(output)", sourceLocation: sourceLocation)
            for text in words {
                #expect(output.standardError.contains(text), "\(output)", sourceLocation: sourceLocation)
            }
            #expect(output.standardOutput.isEmpty, "\(output)", sourceLocation: sourceLocation)
        }

        @Test(
            "Wrong usage exits with 2",
            arguments: [["frobnicate"], ["up"], ["down"], ["up", "a", "b"], ["show", "--x"], []])
        func usage(_ arguments: [String]) async throws {
            let output = try await ChildProcess([WeftCommand.path] + arguments).wait()
            #expect(output.status == 2, "\(output)")
        }

        @Test("What isn't up exits with 3")
        func notUp() async throws {
            let host = try await Host("alone")
            expect(try await host.weft("down", "weft0"), status: 3, saying: "weft0")
            expect(try await host.weft("show", "weft0"), status: 3, saying: "weft0")
            let all = try await host.weft("show", "--json")
            #expect(all.status == 0 && all.standardOutput.filter { !$0.isWhitespace } == "[]", "\(all)")
        }

        @Test("A bad file: each error with file and line, by up and by check")
        func badFile() async throws {
            let host = try await Host("alone")
            var file = TunnelText.pair().left
            file.mtu = 12
            file.vni = 0
            file.moreOfPeer = ["Keepalive = 3"]
            let path = try host.write(file)
            for arguments in [["check", path], ["up", path], ["up", "--detach", path]] {
                let output = try await host.attempt([WeftCommand.path] + arguments)
                expect(output, status: 1, saying: "\(path):4: MTU", "\(path):8: VNI", "PersistentKeepalive")
                #expect(!output.standardError.contains(file.sendKey.prefix(10)))
            }
            try host.write(TunnelText.pair().left)
            #expect(try await host.weft("check", path).status == 0)
            expect(try await host.weft("up", "\(host.folder)/none.conf"), status: 1, saying: "none.conf")
        }

        @Test("A file that others can read")
        func permissions() async throws {
            let host = try await Host("alone")
            let path = try host.write(TunnelText.pair().left.text(for: host), mode: 0o644)
            for verb in ["check", "up"] {
                expect(try await host.weft(verb, path), status: 1, saying: path, "chmod 600")
            }
        }

        @Test("A key server's file and a tunnel's file each name the verb that they are for")
        func otherVerb() async throws {
            let host = try await Host("alone")
            let key = try await host.makeIdentity()
            let tunnel = try host.write(TunnelText.pair().left)
            expect(
                try await host.weft("keyserve", tunnel), status: 1, saying: "\(tunnel):7: [Peer]", "`weft up \(tunnel)`"
            )
            let other = try await Host("other").makeIdentity()
            let interface = "[Interface]\nAddress = 10.77.0.1/24\n"
            let initiator = "[Initiator]\nPublicKey = \(other)\nAllowedIPs = 10.80.0.0/16\n"
            let server = try host.write("\(interface)PrivateKeyFile = host.key\n\(initiator)", to: "keys.conf")
            expect(
                try await host.weft("up", server), status: 1, saying: "\(server):4: [Initiator]",
                "`weft keyserve \(server)`")
            let good = try await host.weft("check", server)
            #expect(good.status == 0 && good.standardOutput == "\(server): good, 1 initiator\n", "\(good)")
            let own = try host.write(
                "\(interface)PrivateKeyFile = host.key\n\(initiator.replacing(other, with: key))", to: "own.conf")
            expect(try await host.weft("keyserve", own), status: 1, saying: "\(own):5: PublicKey", "own key")
            let none = try host.write(interface, to: "none.conf")
            expect(
                try await host.weft("keyserve", none), status: 1, saying: "\(none):1: PrivateKeyFile", "weft genkey")
        }

        @Test("A name that no interface can have")
        func badName() async throws {
            let host = try await Host("alone")
            for name in ["sixteen-letters-", "with blank"] {
                let path = try host.write(TunnelText.pair().left.text(for: host), to: "\(name).conf")
                expect(try await host.weft("up", path), status: 1, saying: name)
            }
        }

        @Test("A name in use: by the same tunnel, by another program's interface")
        func nameInUse() async throws {
            let host = try await Host("alone")
            let path = try host.write(TunnelText.pair().left)
            try await host.run("ip", "link", "add", "weft0", "type", "veth", "peer", "name", "other")
            let foreign = try await host.networkState()
            expect(try await host.weft("up", path), status: 1, saying: "weft0")
            expect(try await host.weft("up", "--detach", path), status: 1, saying: "weft0")
            #expect(try await host.networkState() == foreign)
            try await host.run("ip", "link", "delete", "weft0")

            try await host.up()
            let running = try await host.networkState()
            expect(try await host.weft("up", path), status: 1, saying: "weft0", "up already")
            expect(try await host.weft("up", "--detach", path), status: 1, saying: "weft0", "up already")
            #expect(try await host.networkState() == running)
            #expect(try await host.status().interface.name == "weft0")
        }

        @Test("A port in use by another tunnel, which has several queues")
        func sharedPort() async throws {
            let host = try await Host("alone")
            var file = TunnelText.pair().left
            file.moreOfInterface = ["Queues = 2"]
            try host.write(file)
            try await host.up()
            var other = TunnelText.pair(network: 78).left
            other.moreOfInterface = ["Queues = 2"]
            other.vni = 8
            let path = try host.write(other, to: "weft1.conf")
            let before = try await host.networkState()
            expect(try await host.weft("up", "--detach", path), status: 1, saying: "6081")
            #expect(try await host.networkState() == before)
            try await host.down()
        }

        @Test("A port in use")
        func portInUse() async throws {
            let host = try await Host("alone")
            let before = try await host.networkState()
            let path = try host.write(TunnelText.pair().left)
            let socket = try await host.inNetwork { try Socket.bound(SOCK_DGRAM, to: "0.0.0.0", port: 6081) }
            expect(try await host.weft("up", path), status: 1, saying: "6081")
            expect(try await host.weft("up", "--detach", path), status: 1, saying: "6081")
            #expect(try await host.networkState() == before)
            withExtendedLifetime(socket) {}
        }

        @Test("Somebody who isn't root")
        func notRoot() async throws {
            let host = try await Host("alone")
            // The folder above belongs to root alone, so that nobody gets a place of its own.
            let place = "\(host.folder)/nobody"
            try await host.shell(
                """
                chmod 711 \(host.folder)
                install -d -m 700 -o 65534 \(place) \(place)/state \(place)/run
                """)
            var file = TunnelText.pair().left
            file.stateDirectory = "\(place)/state"
            let path = try host.write(file)
            try await host.shell("mv \(path) \(place)/weft0.conf; chown 65534 \(place)/weft0.conf")
            func asNobody(_ arguments: String...) async throws -> Output {
                try await host.attempt(
                    [
                        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                        "env", "WEFT_RUNTIME_DIRECTORY=\(place)/run", WeftCommand.path,
                    ] + arguments)
            }
            // Where the checkout or the toolchain is root's alone, nobody can't even start the command.
            guard try await asNobody("--version").status == 0 else { return }
            let before = try await host.networkState()
            expect(try await asNobody("up", "\(place)/weft0.conf"), status: 1, saying: "root", "CAP_NET_ADMIN")
            #expect(try await host.networkState() == before)
            #expect(try await asNobody("check", "\(place)/weft0.conf").status == 0)
        }
    }
}
