// SPDX-License-Identifier: Apache-2.0
import Foundation

@testable import WeftNode
@testable import weft

/// What goes into the file of an end that agrees on keys with another; beside it lies `host.key`.
struct AgreeingText {
    var number: Int
    var other: Int
    var peerKey: String
    /// Nil where the peer calls us.
    var endpoint: String?
    var moreOfInterface: [String] = []
    var moreOfPeer: [String] = []

    init(_ number: Int, peerKey: String, calls: Bool = true) {
        self.number = number
        other = 3 - number
        self.peerKey = peerKey
        endpoint = calls ? "192.0.2.\(other):6081" : nil
    }

    var text: String {
        """
        [Interface]
        Address = 10.77.0.\(number)/24, fd77::\(number)/64
        ListenPort = 6081
        MTU = 1400
        PrivateKeyFile = host.key
        \(moreOfInterface.joined(separator: "\n"))
        [Peer]
        PublicKey = \(peerKey)
        \(endpoint.map { "Endpoint = \($0)" } ?? "")
        AllowedIPs = 10.77.0.\(other)/32, fd77::\(other)/128
        \(moreOfPeer.joined(separator: "\n"))
        """
    }
}

extension Host {
    /// Makes the host's identity and gives its public key.
    func makeIdentity() async throws -> String {
        try await run(WeftCommand.path, "genkey", "\(folder)/host.key")
        return try await run(WeftCommand.path, "pubkey", "\(folder)/host.key")
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The process of a tunnel.
    func process(_ name: String = "weft0") async throws -> Int32 { try await status(name).processID }

    /// The control process of a tunnel; nil while none works.
    func controlProcess(_ name: String = "weft0") async throws -> Int32? {
        guard let control = try await status(name).control, control.uptime != nil else { return nil }
        return control.processID
    }

    /// How many descriptors a process has, and its resident memory in KiB.
    func resources(of process: Int32) async throws -> (descriptors: Int, kibibytes: Int) {
        let text = try await shell(
            "ls /proc/\(process)/fd | wc -l; sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/\(process)/status")
        let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        guard numbers.count == 2 else { throw TestFailure("no numbers: \(text)") }
        return (numbers[0], numbers[1])
    }
}

extension HostPair {
    /// Makes identities, brings both ends up, and waits until pings pass.
    func bringUpAgreeing(
        calls: (left: Bool, right: Bool) = (true, true), interface: [String] = [], peer: [String] = []
    ) async throws {
        let leftKey = try await left.makeIdentity()
        let rightKey = try await right.makeIdentity()
        var one = AgreeingText(1, peerKey: rightKey, calls: calls.left)
        var two = AgreeingText(2, peerKey: leftKey, calls: calls.right)
        one.moreOfInterface = interface
        two.moreOfInterface = interface
        one.moreOfPeer = peer
        two.moreOfPeer = peer
        try left.write(one.text)
        try right.write(two.text)
        try await left.up()
        try await right.up()
        try await left.expectAnswer(from: "10.77.0.2")
    }
}
