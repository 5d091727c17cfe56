// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

/// The command under test: the one that was built together with the tests.
enum WeftCommand {
    static let path: String = {
        let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return tests.deletingLastPathComponent().appendingPathComponent("weft").path
    }()
}

/// A key for SendKey or ReceiveKey.
func randomKey() -> String {
    Data((0..<16).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()
}

/// What goes into a tunnel file; the defaults are one end of a tunnel between the hosts of a ``HostPair``.
struct TunnelText {
    var address: String
    var listenPort = 6081
    var mtu = 1400
    var moreOfInterface: [String] = []
    var vni = 7
    var endpoint: String
    var allowedIPs: String
    var keepalive = "off"
    var epoch = 1
    var sendKey: String
    var receiveKey: String
    var moreOfPeer: [String] = []
    var stateDirectory: String?

    /// Both ends, with fresh keys.
    static func pair(network: Int = 77) -> (left: TunnelText, right: TunnelText) {
        let keys = (randomKey(), randomKey())
        func end(_ own: Int, _ other: Int, send: String, receive: String) -> TunnelText {
            TunnelText(
                address: "10.\(network).0.\(own)/24, fd\(network)::\(own)/64", endpoint: "192.0.2.\(other):6081",
                allowedIPs: "10.\(network).0.\(other)/32, fd\(network)::\(other)/128", sendKey: send,
                receiveKey: receive)
        }
        return (end(1, 2, send: keys.0, receive: keys.1), end(2, 1, send: keys.1, receive: keys.0))
    }

    func text(for host: Host) -> String {
        """
        [Interface]
        Address = \(address)
        ListenPort = \(listenPort)
        MTU = \(mtu)
        StateDirectory = \(stateDirectory ?? "\(host.folder)/state")
        \(moreOfInterface.joined(separator: "\n"))
        [Peer]
        VNI = \(vni)
        Endpoint = \(endpoint)
        AllowedIPs = \(allowedIPs)
        PersistentKeepalive = \(keepalive)
        Epoch = \(epoch)
        SendKey = \(sendKey)
        ReceiveKey = \(receiveKey)
        \(moreOfPeer.joined(separator: "\n"))
        """
    }
}

extension Host {
    /// Writes a tunnel file into the host's folder and gives its path.
    @discardableResult
    func write(_ text: String, to name: String = "weft0.conf", mode: Int = 0o600) throws -> String {
        let path = "\(folder)/\(name)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    @discardableResult
    func write(_ tunnel: TunnelText, to name: String = "weft0.conf") throws -> String {
        try write(tunnel.text(for: self), to: name)
    }

    /// Runs the command, whatever it exits with.
    func weft(_ arguments: String..., atMost seconds: Double = 20) async throws -> Output {
        try await attempt([WeftCommand.path] + arguments, atMost: seconds)
    }

    /// Brings up the tunnel whose file is in the host's folder.
    func up(_ name: String = "weft0") async throws {
        try await run(WeftCommand.path, "up", "--detach", "\(folder)/\(name).conf")
    }

    func down(_ name: String = "weft0") async throws {
        try await run(WeftCommand.path, "down", name)
    }

    /// What `weft show --json` says of a tunnel.
    func status(_ name: String = "weft0") async throws -> TunnelStatus {
        let text = try await run(WeftCommand.path, "show", name, "--json")
        let all = try JSONDecoder().decode([TunnelStatus].self, from: Data(text.utf8))
        guard all.count == 1 else { throw TestFailure("\(all.count) tunnels instead of one: \(text)") }
        return all[0]
    }

    /// Kills a tunnel's process as a crash would, and waits until it is gone.
    func crash(_ name: String = "weft0") async throws {
        let process = try await status(name).processID
        try await shell("kill -KILL \(process)")
        // Nobody may be there to bury it. What it had open is closed once its last thread has ended.
        let living = "grep -qs '^State:[[:space:]]*[^Z[:space:]]' /proc/\(process)/task/*/status"
        try await eventually("the end of process \(process) on \(self.name)") {
            try await attempt(["sh", "-c", living]).status != 0
        }
    }

    /// Everything that a tunnel must leave as it was: addresses, links, routes, rules, packet filter, settings.
    func networkState() async throws -> String {
        try await shell(
            """
            ip link show; ip -o address show
            ip -4 route show table all; ip -6 route show table all
            ip -4 rule show; ip -6 rule show
            nft list tables | sort | sed 's/^table/list table/' | while read -r line; do nft -s $line; done
            cat /proc/sys/net/ipv4/conf/all/send_redirects /proc/sys/net/ipv4/conf/all/src_valid_mark
            """)
    }

    /// Whether one packet went to an address and back.
    func pings(_ address: String, patience: String = "1", _ options: String...) async throws -> Bool {
        try await attempt(["ping", "-n", "-q", "-c", "1", "-W", patience] + options + [address]).status == 0
    }

    /// Pings until there is an answer.
    func expectAnswer(from address: String, within seconds: Double = 5) async throws {
        try await eventually("an answer from \(address) to \(name)", within: seconds) {
            try await pings(address, patience: "0.1")
        }
    }
}

typealias TunnelStatus = Status

extension Status {
    func drops(_ reason: DropReason) -> UInt64 { totals.drops["\(reason)"] ?? 0 }

    /// Drops of one direction: before a packet was sealed or after it was opened by the transport, or by the engine.
    func drops(fromOverlay: Bool, byTransport: Bool) -> UInt64 {
        DropReason.allCases.filter { $0.isFromOverlay == fromOverlay && $0.isTransportRefusal == byTransport }
            .reduce(0) { $0 + drops($1) }
    }
}

extension HostPair {
    /// Writes both ends' files, brings both up, and waits until pings pass.
    func bringUp(_ files: (left: TunnelText, right: TunnelText) = TunnelText.pair()) async throws {
        try left.write(files.left)
        try right.write(files.right)
        try await left.up()
        try await right.up()
        try await left.expectAnswer(from: "10.77.0.2")
    }

    /// As ``bringUp(_:)``, with further lines of both ends' `[Interface]`.
    func bringUp(with options: [String]) async throws {
        var files = TunnelText.pair()
        files.left.moreOfInterface = options
        files.right.moreOfInterface = options
        try await bringUp(files)
    }
}
