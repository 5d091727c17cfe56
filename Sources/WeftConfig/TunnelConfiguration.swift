// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftControl
import WeftDiscovery
import WeftFiles

/// What a tunnel file says, checked.
public struct TunnelConfiguration: Sendable {
    /// The file it came from, as the caller named it.
    public let file: String
    /// Our end.
    public let interface: InterfaceConfiguration
    /// In the file's order. Their VNIs, keys and `allowedIPs` are disjoint.
    public private(set) var peers: [PeerConfiguration]
    /// Who may ask for networks, in the file's order; none unless it is a key server's file, which has no peers.
    public let initiators: [InitiatorConfiguration]
    /// The number of the next network that needs one.
    private var nextNetwork: UInt32 = 0

    init(
        file: String, interface: InterfaceConfiguration, peers: [PeerConfiguration],
        initiators: [InitiatorConfiguration]
    ) {
        self.file = file
        self.interface = interface
        self.peers = peers
        self.initiators = initiators
        numberNetworks(known: [:])
    }

    /// Has peers that an older version of the file names keep their networks. A number comes once in a tunnel's life: what was
    /// meant for a peer that is gone never reaches another's network.
    public mutating func keepNetworks(of older: TunnelConfiguration) {
        nextNetwork = older.nextNetwork
        numberNetworks(
            known: Dictionary(
                older.peers.compactMap { peer in peer.publicKey.map { ($0, peer.network) } },
                uniquingKeysWith: { first, _ in first }))
    }

    private mutating func numberNetworks(known: [PublicKey: NetworkID]) {
        for index in peers.indices where !peers[index].hasOwnVNI {
            if let key = peers[index].publicKey, let network = known[key], network.vni == nil {
                peers[index].network = network
            } else {
                peers[index].network = .number(nextNetwork)
                nextNetwork += 1
            }
        }
    }

    /// The routes of one peer: each of our prefixes with each of the peer's of the same family.
    public func routes(for peer: PeerConfiguration) -> [Route] {
        peer.allowedIPs.flatMap { destination in
            interface.localIPs.filter { $0.family == destination.family }
                .map { Route(source: $0, destination: destination) }
        }
    }
}

/// The section `[Interface]`: our end.
public struct InterfaceConfiguration: Sendable {
    /// UDP port when the file names none: Geneve's.
    public static let defaultListenPort: UInt16 = 6081
    /// Bytes of an inner packet where paths say how many, until they do: fits through almost every underlay.
    public static let defaultMTU = 1280
    /// Where key states are kept when the file names no folder.
    /// Whoever the process becomes later, it stays what it was at first.
    public static let defaultStateDirectory: String = {
        let system = "/var/lib/weft"
        return UserFolders.isOurs(system) ? system : UserFolders.state ?? system
    }()
    /// A queue takes two threads.
    public static let mostQueues = 64
    public static let mostSourcePorts = 64
    public static let mostResolvers = 8

    /// The device's own addresses; at least one, no address twice.
    public let addresses: [InterfaceAddress]
    /// 1...65535.
    public let listenPort: UInt16
    /// The one of the host's addresses that the tunnel's sockets work with; nil for all.
    public let listenAddress: IPAddress?
    /// Largest inner packet in bytes, 576...65535; at least 1280 if anything of ours is IPv6. Nil if the paths say how many.
    public let mtu: Int?
    /// Our side of each route; the prefixes of `addresses` unless the file names others.
    public let localIPs: [Prefix]
    /// The mark that underlay packets carry; nil if the file leaves the choice open or says `off`.
    public let firewallMark: UInt32?
    /// Where the routes go; `automatic` unless the file says otherwise.
    public let table: RoutingTable
    /// Whether what the tunnel should carry may leave otherwise.
    public let guarding: Guarding
    /// The tunnel that this one's own datagrams go through; nil for none, whatever other tunnels carry.
    public let through: String?
    /// The folder where key states are kept, an absolute path. Two folders know nothing of each other: a key that has
    /// been used with one of them must not be used with another.
    public let stateDirectory: String
    /// Parallel queues of the device and the socket, 1...64; nil if the number of processors says.
    public let queues: Int?
    /// Whether each thread stays on a processor of its own.
    public let pinsThreads: Bool
    /// UDP ports that datagrams leave from, by flow, 1...64; 1 is the listen port alone.
    public let sourcePorts: Int
    /// Whether outer headers have the inner packets' DSCP.
    public let copiesDSCP: Bool
    /// What may be left to the kernel.
    public let offloads: Offloads
    /// What carries the packets.
    public let driver: Driver
    /// The underlay's interface for AF_XDP; nil for the one that leads to the endpoints.
    public let underlay: String?
    /// How AF_XDP is used.
    public let xdp: XDPOptions
    /// Servers that are asked how they see us; none unless the file names some.
    public let stunServers: [STUNServerName]
    /// Who is asked for peers' names; none for those that the host's files name.
    public let resolvers: [IPAddress]
    /// Whether we answer those who ask the same.
    public let respondsToSTUN: Bool
    /// What a private network does for those outside of it.
    public let services: OverlayServices
    /// Our key pair; nil if no peer needs one, or if files weren't to be looked at.
    public let identity: SharedIdentity?
    /// How often keys are renewed.
    public let rekeyInterval: Duration
    /// The UDP port where ICX's peers reach our control plane; nil if none do.
    public let controlPort: UInt16?
    /// What strangers may cost.
    public let callLimits: CallLimits
    /// Handshakes that one source may have half done, 1...1024.
    public let handshakesPerSource: Int
    /// Where each key stands in the file.
    public let lines: SectionLines<InterfaceKey>

    public static let defaultHandshakesPerSource = 32

    /// ICX's control port.
    public static let defaultControlPort: UInt16 = 6082

    /// Largest inner packet in bytes at first.
    public var firstMTU: Int { mtu ?? Self.defaultMTU }

    /// Whether it asks for what only the host's own network can give.
    public var needsHost: Bool {
        table != .automatic || guarding == .on || through != nil || firewallMark != nil || underlay != nil
    }

    /// What carries a tunnel's packets.
    public enum Driver: String, Hashable, Sendable, CaseIterable {
        /// AF_XDP where it is the faster one, else a TUN device; without privileges that of a private network.
        case auto
        case tun
        case xdp
        /// A TUN device in a network namespace of the process' own, which takes no privilege.
        case privateNamespace = "private"
    }

    /// Whether what a tunnel should carry goes nowhere while the tunnel can't carry it.
    public enum Guarding: String, Hashable, Sendable, CaseIterable {
        /// It does if a default route goes through the tunnel.
        case auto
        case on
        case off
    }

    /// Which kernel routing table the routes go to.
    public enum RoutingTable: Hashable, Sendable {
        /// The main table, or one of our own if a default route goes through the tunnel.
        case automatic
        /// No routes are made.
        case off
        /// 1...4294967295.
        case number(UInt32)
    }
}

/// A section `[Peer]`: the other end of one virtual network.
public struct PeerConfiguration: Sendable {
    /// 1...16777215; 0 if it follows from the keys of both ends and files weren't to be looked at.
    public let vni: UInt32
    /// Whether the network has that VNI for its own: the file says so, or the peer is ICX's. Else it only stands in where the peer
    /// names none.
    public let hasOwnVNI: Bool
    /// The network that leads to it.
    public internal(set) var network: NetworkID
    /// A unicast address and a port; nil if the file gives a name, or nothing as the peer calls us. Manual keys need one.
    public let endpoint: Endpoint?
    /// What to look up to find the endpoint.
    public let endpointName: EndpointName?
    /// The peer's side of each route; at least one.
    public let allowedIPs: [Prefix]
    /// Seconds between keep-alives, 1...65535; nil for none.
    public let persistentKeepalive: UInt16?
    /// Where its keys come from.
    public let authentication: Authentication
    /// What a person carried to both ends beside the public keys; nil for nothing.
    public let presharedKey: PresharedKey?
    /// Packets per second that may reach decryption, 1...4294967295; nil for no limit.
    public let rateLimit: UInt32?
    /// Whether datagrams count only if their source address is the endpoint's.
    public let checksSource: Bool
    /// Whether the peer stays where the file says, wherever it shows up.
    public let pinsEndpoint: Bool
    /// The peer's port for control, if it is ICX's.
    public let controlPort: UInt16?
    /// Whether it runs Weft's first release.
    public let isFirstRelease: Bool
    public let suite: Suite
    /// Where each key stands in the file.
    public let lines: SectionLines<PeerKey>

    public enum Authentication: Sendable {
        /// Keys that a person carried to both ends.
        case manual(ManualKeys)
        /// Keys that both ends agree on; the peer is known by its public key.
        case identity(PublicKey)
    }

    /// The manual keys, if that's what it has.
    public var keys: ManualKeys? {
        if case .manual(let keys) = authentication { keys } else { nil }
    }

    /// The peer's public key, if keys are agreed on.
    public var publicKey: PublicKey? {
        if case .identity(let key) = authentication { key } else { nil }
    }
}

/// A host's name and a port.
public struct EndpointName: Hashable, Sendable, CustomStringConvertible {
    /// Letters, digits, hyphens, underscores and dots, at most 253 of them, and perhaps a final dot, which says that it is whole.
    public let host: String
    /// 1...65535.
    public let port: UInt16

    /// Parses `host.example:6081`. What can only be meant as an address is no name.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        // The number's initialiser would also take a sign.
        guard let port = UInt16(digits), port > 0, String(port) == digits else { return nil }
        let name = text[..<colon]
        let host = name.hasSuffix(".") ? name.dropLast() : name
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        guard host.utf8.count <= 253,
            labels.allSatisfy({ label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { byte in
                        byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
                            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                    }
            }), let last = labels.last, !last.allSatisfy(\.isNumber)
        else { return nil }
        self.host = String(name)
        self.port = port
    }

    public var description: String { "\(host):\(port)" }
}

/// An identity that several hold, and that can be given up: its public half stays known.
public final class SharedIdentity: Sendable {
    private let held: Mutex<Identity?>
    public let publicKey: PublicKey
    /// What the tags of its connection ids come from; nil where the library failed to make it.
    public let tagSeed: TagSeed?

    public init(_ identity: consuming Identity) {
        publicKey = identity.publicKey
        tagSeed = try? TagSeed(identity)
        held = Mutex(consume identity)
    }

    /// Lends the identity; nil once it was given up.
    public func withIdentity<Result, Failure: Error>(
        _ body: (borrowing Identity) throws(Failure) -> sending Result
    ) throws(Failure) -> Result? {
        try held.withLock { (identity: inout sending Identity?) throws(Failure) -> Result? in
            switch identity {
            case .some(let identity): try body(identity)
            case nil: nil
            }
        }
    }

    /// Wipes the private key: somebody else has it from now on.
    public func giveUp() { held.withLock { $0 = nil } }
}

/// What both ends of a manually keyed peer write into their files.
public struct ManualKeys: Sendable {
    /// 1...4294967295, the same at both ends; must rise whenever a key's state is lost or the peer's starts anew.
    public let epoch: UInt32
    /// Our direction's key; the peer's `receive`.
    public let send: ManualKey
    /// The peer's direction's key; never equal to `send`.
    public let receive: ManualKey
}

/// The lines that a section's header and keys stand on, for messages about conflicts that only show later.
public struct SectionLines<Key: Hashable & Sendable>: Hashable, Sendable {
    /// The line of the section's header, counted from 1.
    public let header: Int
    private let keys: [Key: Int]

    init(header: Int, keys: [Key: Int]) {
        self.header = header
        self.keys = keys
    }

    /// The line of a key, counted from 1; the section's header if the file leaves the key out.
    public subscript(key: Key) -> Int { keys[key] ?? header }
}
