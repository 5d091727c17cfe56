// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    @Suite("Tunnel map and hostile etcds", .enabled(if: hasEtcd, "needs etcd-server and etcd-client"))
    struct TunnelMapSafety {
        /// One host whose prefixes all come from etcd.
        private func host() async throws -> EtcdHost {
            let net = try await MapHosts(count: 1)
            try net.file(of: 1) { $0["prefixes"] = nil }
            return try await EtcdHost(net)
        }

        @Test("An etcd that begins anew, or is another, leaves nothing stale")
        func anotherDisk() async throws {
            let host = try await host()
            var etcd = try await host.start()
            for number in 0..<10 { try await host.run("put", "/other", "\(number)") }
            try await host.put("10.31.0.0/16", EtcdHost.hop)
            let agent = try await host.net.run(1, "--etcd", host.url, "--insecure")
            try await host.expect("10.31.0.0/16")
            // An empty disk: its revisions begin again.
            try await host.kill(etcd)
            etcd = try await host.start(data: "empty")
            try await host.put("10.32.0.0/16", EtcdHost.hop)
            try await host.expect("10.32.0.0/16")
            try await host.expect("10.31.0.0/16", false)
            // Another cluster, which has come further meanwhile.
            try await host.kill(etcd)
            etcd = try await host.start(data: "other", "--initial-cluster-token", "other")
            for number in 0..<30 { try await host.run("put", "/other", "\(number)") }
            try await host.put("10.33.0.0/16", EtcdHost.hop)
            try await host.expect("10.33.0.0/16")
            try await host.expect("10.32.0.0/16", false)
            // Compacted while nobody could look.
            try await host.kill(etcd)
            etcd = try await host.start(data: "other", "--initial-cluster-token", "other")
            try await host.put("10.34.0.0/16", EtcdHost.hop)
            try await host.run("del", "/weft/tunnel-map/prefixes/10.33.0.0/16")
            try await host.run("compact", "34")
            try await host.expect("10.34.0.0/16")
            try await host.expect("10.33.0.0/16", false)
            // Each time it was said once that etcd is away, and once that it is back.
            let lines = agent.output.standardError.split(separator: "\n")
            #expect(lines.count { $0.contains("forwarding goes on") } == 3, "\(lines)")
            #expect(lines.count { $0.contains("etcd is back") } == 3, "\(lines)")
            withExtendedLifetime(etcd) {}
        }

        @Test("A restarted agent keeps what its fleet said while etcd is away")
        func restartWithoutEtcd() async throws {
            let host = try await host()
            // With a prober, whose targets come from the fleet as well.
            try host.net.file(of: 1, isProbed: true) { $0["prefixes"] = nil }
            var etcd = try await host.start()
            try await host.put("10.31.0.0/16", EtcdHost.hop)
            var agent = try await host.net.run(1, "--etcd", host.url, "--insecure")
            try await host.expect("10.31.0.0/16")
            try await host.kill(etcd)
            agent.signalCommand(SIGKILL)
            try await eventually("the agent's end") { agent.hasEnded }
            agent = try await host.net.run(1, "--etcd", host.url, "--insecure")
            try await eventually("a complaint") { agent.output.standardError.contains("forwarding goes on") }
            #expect(!agent.output.standardError.contains("removed"), "\(agent.output)")
            try await host.expect("10.31.0.0/16")
            // The file counts meanwhile.
            try host.net.file(
                of: 1, isProbed: true, more: [["prefix": "10.35.0.0/16", "nexthops": [MapHosts.nexthop(2, "vxlan")]]])
            try await host.expect("10.35.0.0/16")
            try await host.expect("10.31.0.0/16")
            etcd = try await host.start()
            try await host.run("del", "/weft/tunnel-map/prefixes/10.31.0.0/16")
            try await host.expect("10.31.0.0/16", false)
            withExtendedLifetime(etcd) {}
        }

        @Test("Proxies of the environment are never asked")
        func proxies() async throws {
            let host = try await host()
            let etcd = try await host.start()
            try await host.put("10.31.0.0/16", EtcdHost.hop)
            let map = "\(host.net.hosts[0].folder)/map.json"
            let agent = try host.net.hosts[0].start(
                [
                    "env", "http_proxy=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9",
                    "ALL_PROXY=socks5://127.0.0.1:9",
                ]
                    + [WeftCommand.path, "tunnel-map", "run", map, "--etcd", host.url, "--insecure"])
            try await eventually("a map") { agent.output.standardError.contains("loaded") }
            try await host.expect("10.31.0.0/16")
            withExtendedLifetime((etcd, agent)) {}
        }

        @Test("Plain HTTP to another host needs a word")
        func plainHTTP() async throws {
            let net = try await MapHosts(count: 1)
            try net.file(of: 1)
            let map = "\(net.hosts[0].folder)/map.json"
            let output = try await net.hosts[0].weft("tunnel-map", "run", map, "--etcd", "http://192.0.2.100:2379")
            #expect(output.status == 2 && output.standardError.contains("--insecure"), "\(output)")
            let lonely = try await net.hosts[0].weft("tunnel-map", "run", map, "--cacert", "/x")
            #expect(lonely.status == 2 && lonely.standardError.contains("--etcd"), "\(lonely)")
        }

        /// etcdctl itself sends no more than 2 MiB.
        private func putHuge(_ host: EtcdHost, _ name: String) async throws {
            let script = """
                import base64, json, urllib.request
                code = lambda text: base64.b64encode(text.encode()).decode()
                body = json.dumps({"key": code("/weft/tunnel-map/agents/\(name)"), "value": code("x" * 7000000)})
                urllib.request.urlopen("\(host.url)/v3/kv/put", body.encode()).read()
                """
            try await host.net.wire.run("python3", "-c", script)
        }

        @Test("Hostile, huge and malformed values cost themselves only")
        func hostile() async throws {
            let host = try await host()
            let etcd = try await host.start(data: "etcd", "--max-request-bytes", "12000000")
            try await host.put("10.31.0.0/16", EtcdHost.hop)
            // Longer than any answer that is taken, and keys that are no text or no names.
            try await putHuge(host, "huge")
            try await host.net.wire.shell(
                """
                printf x | etcdctl --endpoints \(host.url) put "$(printf '/weft/tunnel-map/agents/\\377')"
                etcdctl --endpoints \(host.url) put "$(printf '/weft/tunnel-map/agents/\\033[2J')" '{}'
                """)
            let deep = String(repeating: "[", count: 100_000)
            for value in ["{", deep, #"{"remote": 7}"#, #"{"remote": ["192.0.2.1"], "prefixes": {"10.31.0.0/16": 1}}"#]
            {
                try await host.run("put", "/weft/tunnel-map/agents/a\(value.utf8.count)", value)
            }
            let agent = try await host.net.run(1, "--etcd", host.url, "--insecure")
            try await host.expect("10.31.0.0/16")
            try await host.put(
                "10.32.0.0/16",
                #"{"peer": "x", "remote": "192.0.2.2", "protocol": "plain", "interface": "underlay"}, \#(EtcdHost.hop)"#
            )
            // While it is watched, too.
            try await putHuge(host, "huge2")
            try await host.put("10.33.0.0/16", EtcdHost.hop)
            try await host.expect("10.33.0.0/16", within: 15)
            let status = try await host.net.hosts[0].mapStatus()
            #expect(status.prefixes.first { $0.prefix == "10.32.0.0/16" }?.nexthops.map(\.peer) == ["far"])
            let log = agent.output.standardError
            #expect(log.contains("agents/huge: its value is too long"), "\(log)")
            #expect(!log.contains("\u{1B}"))
            withExtendedLifetime(etcd) {}
        }

        @Test("TLS, client certificates and users")
        func proofs() async throws {
            var host = try await host()
            let folder = host.net.hosts[0].folder
            try await host.net.hosts[0].shell(
                """
                cd \(folder)
                for name in ca other; do
                    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.pem \\
                        -days 2 -subj /CN=$name 2>/dev/null
                done
                for name in server client; do
                    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr \\
                        -subj /O=$name 2>/dev/null
                    printf 'subjectAltName=IP:192.0.2.100\nextendedKeyUsage=serverAuth,clientAuth\n' >$name.ext
                    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 2 \\
                        -extfile $name.ext 2>/dev/null
                done
                chmod 600 *.key
                printf 'weft:s3cret:with colon\n' >user && chmod 600 user && printf 'weft:wrong' >wrong && chmod 600 wrong
                """)
            host.url = "https://192.0.2.100:2379"
            let proofs = [
                "--cacert", "\(folder)/ca.pem", "--cert", "\(folder)/client.pem", "--key", "\(folder)/client.key",
            ]
            host.login = proofs
            let etcd = try await host.start(
                data: "etcd", "--cert-file", "\(folder)/server.pem", "--key-file", "\(folder)/server.key",
                "--trusted-ca-file", "\(folder)/ca.pem", "--client-cert-auth", "--auth-token-ttl", "2")
            try await host.run("user", "add", "root:r", "--interactive=false")
            try await host.run("user", "grant-role", "root", "root")
            try await host.run("user", "add", "weft:s3cret:with colon", "--interactive=false")
            try await host.run("role", "add", "map")
            try await host.run("role", "grant-permission", "map", "readwrite", "/weft/tunnel-map/", "--prefix=true")
            try await host.run("user", "grant-role", "weft", "map")
            try await host.put("10.31.0.0/16", EtcdHost.hop)
            try await host.run("auth", "enable")
            host.login = proofs + ["--user", "root:r"]

            func refusal(_ arguments: [String]) async throws -> String {
                let agent = try host.net.hosts[0].start(
                    [WeftCommand.path, "tunnel-map", "run", "\(folder)/map.json", "--etcd", host.url] + arguments)
                try await eventually("a refusal", within: 10) {
                    agent.hasEnded || agent.output.standardError.contains("forwarding goes on")
                }
                agent.signalCommand(SIGTERM)
                try await eventually("the agent's end") { agent.hasEnded }
                return agent.output.standardError
            }
            let user = ["--user-file", "\(folder)/user"]
            // Whom nobody vouches for, who shows nothing, who knows no password, who leaves it lying about.
            #expect(try await refusal(Array(proofs.dropFirst(2)) + user).contains("certificate"))
            #expect(
                try await refusal(["--cacert", "\(folder)/other.pem"] + proofs.dropFirst(2) + user).contains(
                    "certificate"))
            #expect(try await refusal(Array(proofs.prefix(2)) + user).contains("can't be reached"))
            #expect(try await refusal(proofs).contains("etcd refused"))
            #expect(try await refusal(proofs + ["--user-file", "\(folder)/wrong"]).contains("authentication failed"))
            try await host.net.hosts[0].shell("cp \(folder)/user \(folder)/open && chmod 644 \(folder)/open")
            #expect(try await refusal(proofs + ["--user-file", "\(folder)/open"]).contains("chmod 600"))
            let agent = try host.net.hosts[0].start(
                [WeftCommand.path, "tunnel-map", "run", "\(folder)/map.json", "--etcd", host.url] + proofs + user)
            try await host.expect("10.31.0.0/16")
            // Tokens run out meanwhile: the lease goes on, and so does the watch.
            try await Task.sleep(for: .seconds(7))
            try await host.put("10.32.0.0/16", EtcdHost.hop)
            try await host.expect("10.32.0.0/16", within: 3)
            let record = try await host.attempt("get", "/weft/tunnel-map/agents/host1")
            #expect(record.standardOutput.contains("probeVersion"), "\(record)")
            #expect(!agent.output.standardError.contains("forwarding goes on"), "\(agent.output)")
            #expect(!agent.output.standardError.contains("s3cret"))
            withExtendedLifetime((etcd, agent)) {}
        }
    }
}
