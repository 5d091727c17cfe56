// SPDX-License-Identifier: Apache-2.0
import Weft

/// The keys of one kind of section, spelled as the documentation spells them.
protocol FileKey: RawRepresentable<String>, CaseIterable, Hashable, Sendable {
    /// The section they stand in, without brackets.
    static var section: String { get }
    /// What a value must look like (one item of it, for a list), to follow "expected".
    var expected: String { get }
}

extension FileKey {
    /// The key of that name, whatever its case.
    init?(ignoringCase name: String) {
        let lowered = name.lowercased()
        guard let key = Self.allCases.first(where: { $0.rawValue.lowercased() == lowered }) else { return nil }
        self = key
    }

    /// All names, in the order of their declaration.
    static var names: [String] { allCases.map(\.rawValue) }
}

/// The keys that `[Interface]` may hold.
public enum InterfaceKey: String, CaseIterable, Sendable {
    case address = "Address"
    case listenPort = "ListenPort"
    case listen = "Listen"
    case mtu = "MTU"
    case localIPs = "LocalIPs"
    case firewallMark = "FwMark"
    case table = "Table"
    case guarding = "Guard"
    case through = "Through"
    case stateDirectory = "StateDirectory"
    case privateKey = "PrivateKey"
    case privateKeyFile = "PrivateKeyFile"
    case rekeyInterval = "RekeyInterval"
    case controlPort = "ControlPort"
    case callLimit = "CallLimit"
    case handshakeLimit = "HandshakeLimit"
    case queues = "Queues"
    case pinThreads = "PinThreads"
    case sourcePorts = "SourcePorts"
    case copyDSCP = "CopyDSCP"
    case offloads = "Offloads"
    case driver = "Driver"
    case underlay = "Underlay"
    case bindMode = "BindMode"
    case needWakeup = "NeedWakeup"
    case busyPoll = "BusyPoll"
    case dns = "DNS"
    case socks5 = "SOCKS5"
    case socks5Login = "SOCKS5Login"
    case forward = "Forward"
    case expose = "Expose"
    case resolver = "Resolver"
    case stun = "STUN"
    case stunResponder = "STUNResponder"
}

extension InterfaceKey: FileKey {
    static let section = "Interface"

    var expected: String {
        switch self {
        case .address: "an address such as 10.77.0.1/24 or fd77::1/64"
        case .listenPort: "a number from 1 to 65535"
        case .listen: "one of this host's addresses such as 192.0.2.1 or 2001:db8::1"
        case .mtu: "auto, or a number from 576 to 65535"
        case .localIPs: "a prefix such as 10.77.0.0/24 or fd77::/64"
        case .firewallMark: "off, or a number from 0 to 4294967295, decimal or hexadecimal after 0x"
        case .table: "auto, off, or a number from 1 to 4294967295"
        case .guarding: "auto, on or off"
        case .through: "the name of another tunnel such as weft0"
        case .socks5: "a loopback address such as 127.0.0.1:1080, or a Unix socket's absolute path"
        case .socks5Login: "USER:PASSWORD, 1 to 255 bytes each"
        case .forward:
            "a rule such as 127.0.0.1:8080 -> 10.77.0.2:80, from a loopback address or a Unix socket's absolute path"
        case .expose: "a rule such as 22 -> 127.0.0.1:22"
        case .resolver, .dns: "the address of one host such as 192.0.2.53 or 2001:db8::53"
        case .stun: "HOST or HOST:PORT such as stun.example.org:3478 or [2001:db8::3]:3478"
        case .stunResponder: "on or off"
        case .stateDirectory: "an absolute path such as /var/lib/weft"
        case .privateKey: "a private key: what `weft genkey` prints between its first and last line, on one line"
        case .privateKeyFile: "a path such as /etc/weft/host.key, made by `weft genkey`"
        case .rekeyInterval: "a number of seconds from 1 to 21600"
        case .controlPort: "a number from 1 to 65535"
        case .callLimit: "a number of calls per second from 1 to 8000"
        case .handshakeLimit: "a number from 1 to 1024"
        case .queues: "auto, or a number from 1 to \(InterfaceConfiguration.mostQueues)"
        case .pinThreads, .copyDSCP: "on or off"
        case .sourcePorts: "a number from 1 to \(InterfaceConfiguration.mostSourcePorts)"
        case .offloads: "all, off, or some of \(Offloads.all)"
        case .driver: "auto, tun, xdp or private"
        case .underlay: "an interface's name such as eth0"
        case .bindMode: "auto, or one of driver and generic, one of zero-copy and copy, or both"
        case .needWakeup: "on or off"
        case .busyPoll: "off, or a number of microseconds from 1 to 1000000"
        }
    }
}

/// The keys that `[Peer]` may hold.
public enum PeerKey: String, CaseIterable, Sendable {
    case publicKey = "PublicKey"
    case presharedKey = "PresharedKey"
    case presharedKeyFile = "PresharedKeyFile"
    case vni = "VNI"
    case endpoint = "Endpoint"
    case allowedIPs = "AllowedIPs"
    case persistentKeepalive = "PersistentKeepalive"
    case epoch = "Epoch"
    case sendKey = "SendKey"
    case receiveKey = "ReceiveKey"
    case rateLimit = "RateLimit"
    case checkSource = "CheckSource"
    case pinEndpoint = "PinEndpoint"
    case controlPort = "ControlPort"
    case suite = "Suite"
    case speaks = "Protocol"
}

extension PeerKey: FileKey {
    static let section = "Peer"

    var expected: String {
        switch self {
        case .presharedKey: "what `weft genpsk` prints, 44 characters that end in ="
        case .presharedKeyFile: "a path such as /etc/weft/peer.psk, with what `weft genpsk` prints"
        case .vni: "a number from 1 to 16777215"
        case .endpoint: "ADDRESS:PORT such as 192.0.2.2:6081 or [2001:db8::2]:6081"
        case .allowedIPs: "a prefix such as 10.77.0.2/32 or fd77::2/128"
        case .persistentKeepalive: "off, or a number of seconds from 0 to 65535"
        case .epoch: "a number from 1 to 4294967295"
        case .sendKey, .receiveKey: "16 bytes in base64, 24 characters that end in =="
        case .rateLimit: "off, or a number of packets per second from 0 to 4294967295"
        case .checkSource, .pinEndpoint: "on or off"
        case .publicKey: "what `weft pubkey` prints at the peer, 124 characters that end in =="
        case .controlPort: "a number from 1 to 65535, or nothing unless the peer is ICX's"
        case .suite: "AES-128-GCM or AES-256-GCM"
        case .speaks: "1 for an end of Weft's first release, or nothing"
        }
    }
}

/// The keys that `[Initiator]` may hold.
public enum InitiatorKey: String, CaseIterable, Sendable {
    case publicKey = "PublicKey"
    case allowedIPs = "AllowedIPs"
    case networks = "Networks"
    case requestLimit = "RequestLimit"
    case suite = "Suite"
    case speaks = "Protocol"
}

extension InitiatorKey: FileKey {
    static let section = "Initiator"

    var expected: String {
        switch self {
        case .publicKey: "what `weft pubkey` prints at the initiator, 124 characters that end in =="
        case .allowedIPs: PeerKey.allowedIPs.expected
        case .networks: "a number from 1 to \(InitiatorConfiguration.mostNetworks)"
        case .requestLimit: "a number of requests a second from 1 to \(InitiatorConfiguration.mostRequestsPerSecond)"
        case .suite: PeerKey.suite.expected
        case .speaks: PeerKey.speaks.expected
        }
    }
}

/// The sections that a file may have.
enum FileSections {
    /// With the names of their keys.
    static let all: [(name: String, keys: [String])] = [
        (InterfaceKey.section, InterfaceKey.names), (PeerKey.section, PeerKey.names),
        (InitiatorKey.section, InitiatorKey.names),
    ]

    /// Their headers, to follow "expected".
    static let expected = headers(all.map(\.name))

    /// Where a key of that name belongs, whatever its case; nil if it belongs nowhere.
    static func home(of name: String) -> (key: String, headers: String)? {
        let lowered = name.lowercased()
        let homes = all.filter { $0.keys.contains { $0.lowercased() == lowered } }
        guard let key = homes.first?.keys.first(where: { $0.lowercased() == lowered }) else { return nil }
        return (key, headers(homes.map(\.name)))
    }

    private static func headers(_ names: [String]) -> String {
        let headers = names.map { "[\($0)]" }
        guard let last = headers.last, headers.count > 1 else { return headers.joined() }
        return headers.dropLast().joined(separator: ", ") + " or " + last
    }
}
