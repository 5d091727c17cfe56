// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

let hasEtcd = ["etcd", "etcdctl"].allSatisfy { name in unsafe access("/usr/bin/" + name, X_OK) == 0 }

/// An etcd on the hosts' wire, 192.0.2.100, and what its operator does.
struct EtcdHost: Sendable {
    let net: MapHosts
    var url = "http://192.0.2.100:2379"
    /// What etcdctl has to be told as well.
    var login: [String] = []
    private var folder: String { net.wire.folder }

    init(_ net: MapHosts) async throws {
        self.net = net
        try await net.wire.shell("ip link set lo up && ip address add 192.0.2.100/24 dev bridge")
    }

    func start(data: String = "etcd", _ more: String...) async throws -> ChildProcess {
        let etcd = try net.wire.start(
            [
                "etcd", "--data-dir", "\(folder)/\(data)", "--listen-client-urls", url, "--advertise-client-urls", url,
                "--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync",
            ] + more)
        try await eventually("etcd", within: 20) {
            if etcd.hasEnded { throw TestFailure("\(etcd.output)") }
            return try await attempt("get", "x").status == 0
        }
        return etcd
    }

    func kill(_ etcd: ChildProcess) async throws {
        etcd.signalCommand(SIGKILL)
        try await eventually("etcd's end") { etcd.hasEnded }
    }

    func attempt(_ arguments: String...) async throws -> Output {
        try await net.wire.attempt(["etcdctl", "--endpoints", url] + login + arguments)
    }

    func run(_ arguments: String...) async throws {
        let output = try await net.wire.attempt(["etcdctl", "--endpoints", url] + login + arguments)
        guard output.status == 0 else { throw TestFailure("\(output)") }
    }

    func put(_ prefix: String, _ hops: String) async throws {
        try await run(
            "put", "/weft/tunnel-map/prefixes/\(prefix)", #"{"nexthops": [\#(hops)], "neverInTheClear": true}"#)
    }

    /// A nexthop that needs no registration.
    static let hop = #"{"peer": "far", "remote": "192.0.2.2", "vni": 7}"#

    func expect(_ prefix: String, _ isThere: Bool = true, within seconds: Double = 5) async throws {
        try await eventually("\(prefix) \(isThere ? "there" : "gone")", within: seconds) {
            try await net.hosts[0].mapStatus().prefixes.contains { $0.prefix == prefix } == isThere
        }
    }
}
