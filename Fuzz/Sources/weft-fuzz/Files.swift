// SPDX-License-Identifier: Apache-2.0
@testable import WeftConfig
@testable import WeftControl

/// Tunnel files.
enum TunnelFiles {
    static func run(_ input: RawSpan) {
        let bytes = input.array()
        do throws(TunnelFileError) {
            let file = try TunnelFile.parse(bytes.span, name: "fuzz.conf")
            check(!file.interface.addresses.isEmpty, "no address")
            check(file.peers.isEmpty || file.initiators.isEmpty, "both kinds")
        } catch {
            check(!error.diagnostics.isEmpty, "refused without a reason")
        }
    }

    static func seeds() -> [[UInt8]] {
        [
            """
            [Interface]
            Address = 10.77.0.1/24, fd77::1/64
            ListenPort = 6081
            MTU = 1280
            FwMark = 0x10
            Table = off
            LocalIPs = 10.77.0.0/24

            [Peer]
            VNI = 7
            Endpoint = 192.0.2.2:6081
            AllowedIPs = 10.77.0.2/32, fd77::2/128
            PersistentKeepalive = 25
            Epoch = 1
            SendKey = q83vASNFZ4mrze8BI0VniQ==
            ReceiveKey = EjRWeJq83vASNFZ4mrzeHw==
            RateLimit = 1000
            CheckSource = on
            """,
            """
            [Interface]
            Address = 10.77.0.1/24
            PrivateKeyFile = host.key
            RekeyInterval = 60

            [Peer]
            PublicKey = MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGxJ4obxS0F5jIdm5IqdXSrz7drTWlRs1qndNiDe/D/CxVrDpBmMrvnJWn+UJ274nF9Gj7rEntChm3td9zFqRjw==
            Endpoint = host.example:6081
            AllowedIPs = 10.77.0.2/32
            PinEndpoint = on
            Suite = AES-256-GCM
            """,
            """
            [Interface]
            Address = 10.77.0.1/24
            PrivateKeyFile = host.key
            ControlPort = 6082

            [Initiator]
            PublicKey = MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGxJ4obxS0F5jIdm5IqdXSrz7drTWlRs1qndNiDe/D/CxVrDpBmMrvnJWn+UJ274nF9Gj7rEntChm3td9zFqRjw==
            AllowedIPs = 10.80.0.0/16, 10.81.0.2/32
            Networks = 4096
            Suite = AES-256-GCM
            """,
        ].map { Array($0.utf8) }
    }
}

/// State files of manual keys: what is taken is written again to the very same bytes.
enum KeyStates {
    static func run(_ input: RawSpan) {
        let bytes = input.array()
        guard let record = try? KeyStateRecord(bytes, name: "fuzz") else { return }
        check(record.encoded(name: "fuzz") == bytes, "another form")
    }

    static func seeds() -> [[UInt8]] {
        [(nil, .unnoted), (7, .unnoted), (nil, .none), (7, .known("00"))].compactMap {
            (received: UInt64?, machine: KeyStateRecord.Machine) in
            KeyStateRecord(epoch: 3, mark: 1 << 32, receiveKey: "00", received: received, machine: machine)
                .encoded(name: "fuzz")
        }
    }
}

/// Control messages, whole and in pieces: what is taken is written again to the very same bytes.
enum ControlMessages {
    static func run(_ input: RawSpan) {
        let bytes = input.array()
        if let message = try? ControlMessage(payload: bytes.span) {
            check(message.payload == bytes, "another form")
        }
        var reader = ControlFrameReader()
        let piece = Array(bytes.prefix(bytes.count / 2))
        guard let first = try? reader.receive(piece.span) else { return }
        check(first.count <= ControlFrame.maximumPayloadByteCount, "\(first.count) bytes")
    }

    static func seeds() -> [[UInt8]] {
        [
            [1, 1, 0, 0, 0, 0, 1], [1, 4, 0, 0, 0, 7], [1, 5, 0], [1, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7],
            [0, 7, 1, 1, 0, 0, 0, 0, 1],
        ]
    }
}
