// SPDX-License-Identifier: Apache-2.0
import Foundation

@testable import WeftConfig

/// Files to begin with.
enum Samples {
    static let keys = [
        "q83vASNFZ4mrze8BI0VniQ==", "EjRWeJq83vASNFZ4mrzeHw==", "h3ZUMhD+3LqYdlQyEP7cug==", "8Ke0xdLhDzxpWkuHmFQyAQ==",
    ]

    /// As in the documentation.
    static let small = """
        [Interface]
        Address = 10.77.0.1/24, fd77::1/64
        ListenPort = 6081
        MTU = 1280

        [Peer]
        VNI = 7
        Endpoint = 192.0.2.2:6081
        AllowedIPs = 10.77.0.2/32, fd77::2/128
        PersistentKeepalive = 25
        Epoch = 1
        SendKey = \(keys[0])
        ReceiveKey = \(keys[1])

        """

    /// Every key, two peers.
    static let full = """
        # The office's end
        [Interface]
        Address = 10.77.0.1/24, 10.78.0.1/24, fd77::1/64
        ListenPort = 7081
        MTU = 1400
        LocalIPs = 10.77.0.0/16, fd77::/48
        FwMark = 0xCa6c
        Table = 77
        StateDirectory = /srv/weft/state
        Queues = 4
        PinThreads = on
        SourcePorts = 16
        Offloads = TSO, checksum , gro
        CopyDSCP = on
        [Peer] # first
        VNI = 7
        Endpoint = 192.0.2.2:6081
        AllowedIPs = 10.80.0.9/24, fd80::/64
        PersistentKeepalive = 25
        Epoch = 3
        SendKey = \(keys[0])
        ReceiveKey = \(keys[1])
        RateLimit = 50000
        CheckSource = on

        [Peer]
        VNI = 16777215
        Endpoint = [2001:db8::2]:65535
        AllowedIPs = 0.0.0.0/0
        PersistentKeepalive = off
        Epoch = 4294967295
        SendKey = \(keys[2])
        ReceiveKey = \(keys[3])
        RateLimit = off
        CheckSource = off

        """

    /// Public keys whose private halves nobody kept.
    static let publicKeys = [
        """
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1K+O1DYBi8Eu/LSDUZhrYlha+tTRhpNcgne0by9gGjSf/+Qmh20tiDTBEt+n\
        UJRlMgIK40/vVNK0zWb20FZnJA==
        """,
        """
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpuBaZYY+WlFBFd6PxKFS2c9Qzp25wkHvNjXUM4oVWUXZgDD2XVhtif2t9Bp6\
        Gqsh2iLTrw8Ot3WVKKa5Egqb4g==
        """,
    ]

    /// A key server's: every key of an initiator, and one that leaves out what it may.
    static let keyServer = """
        [Interface]
        Address = 10.77.0.1/24, fd77::1/64
        PrivateKeyFile = host.key
        RekeyInterval = 120
        ControlPort = 6082
        Driver = tun

        [Initiator] # first
        PublicKey = \(publicKeys[0])
        AllowedIPs = 10.80.0.0/16, fd80::/64
        Networks = 4096
        Suite = AES-256-GCM

        [Initiator] # second
        PublicKey = \(publicKeys[1])
        AllowedIPs = 10.81.0.0/16, 10.80.0.0/16

        """

    /// `small` with one line replaced, counted from 1.
    static func small(line: Int, _ replacement: String?) -> String {
        var lines = small.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        lines[line - 1] = replacement ?? ""
        return lines.joined(separator: "\n")
    }

    /// What is wrong with a text; nothing if it is a good file.
    static func findings(_ text: String) -> [String] {
        findings(Array(text.utf8))
    }

    static func findings(_ text: [UInt8]) -> [String] {
        do throws(TunnelFileError) {
            _ = try TunnelFile.parse(text.span, name: "weft0.conf")
            return []
        } catch {
            return error.lines
        }
    }
}

/// A folder that is gone when the test is over.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "weft-config-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func write(_ bytes: [UInt8], to name: String, mode: Int = 0o600) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        try setMode(mode, of: name)
    }

    func setMode(_ mode: Int, of name: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: "\(path)/\(name)")
    }

    func bytes(of name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")))
    }

    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
    }
}

extension Samples {
    /// Whether a message holds 8 or more characters of one of the keys in a row.
    static func showsKey(_ message: String) -> Bool {
        keys.contains { key in
            let digits = key.dropLast(2)
            return (0...digits.count - 8).contains { start in
                message.contains(digits.dropFirst(start).prefix(8))
            }
        }
    }
}
