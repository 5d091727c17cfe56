// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestResolver

extension Host {
    /// A resolver on this host, at an address of its own, which others may reach by a default route. It answers until it is closed.
    func startResolver(_ zone: [String: DNSServer.Answer] = [:], file: String? = nil, at address: String) async throws
        -> DNSServer
    {
        try await run("ip", "address", "replace", "\(address)/32", "dev", "lo")
        let server = try await inNetwork { try DNSServer(zone, file: file, at: address, port: 53) }
        Thread { server.run() }.start()
        return server
    }

    /// Has this host read these files instead of the machine's own; they lie in its folder.
    func readNames(hosts: String = "", resolvers: String) async throws {
        for (name, text) in [("hosts", hosts), ("resolv.conf", resolvers)] {
            try write(text, to: name, mode: 0o644)
            try await run("mount", "--bind", "\(folder)/\(name)", "/etc/\(name)")
        }
        try await shell("mkdir -p /run/systemd && mount -t tmpfs none /run/systemd")
    }
}
