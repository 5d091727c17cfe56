// SPDX-License-Identifier: Apache-2.0
import Weft

/// A peer that keys are agreed with.
public struct ControlPeer: Hashable, Sendable {
    public var publicKey: PublicKey
    /// The virtual network that leads to it.
    public var network: NetworkID
    /// What its datagrams bear, and ours to it, where the ends don't name others to each other: the network's own VNI, or the one
    /// that follows from both ends' keys.
    public var vni: UInt32
    /// Where it's reached; nil where that has to be looked up, or where only it knows where we are.
    public var endpoint: Endpoint?
    /// Whether its endpoint is a name, which is looked up.
    public var isNamed: Bool
    /// Whether the endpoint stays what it is, wherever the peer shows up.
    public var isPinned: Bool
    /// The peer's UDP port for control where that isn't its data port. Only ICX's peers have one: towards them ICX's own
    /// timers hold, and the end with the lower key dials.
    public var controlPort: UInt16?
    /// The UDP port that an ICX peer takes data at, wherever its own comes from. Others' is their endpoint's.
    public var dataPort: UInt16
    /// Whether it is an end of Weft's first release, which can't show that it knows us before it calls.
    public var isFirstRelease: Bool
    public var suite: Suite
    /// How often keys are renewed.
    public var rekeyInterval: Duration
    /// What a person carried to both ends beside the public keys; nil for nothing. Only between Weft's ends.
    public var presharedKey: PresharedKey?

    /// Whether it can be called by what is written down, whatever was learned since.
    var isCallable: Bool { endpoint != nil || isNamed }

    public static let defaultRekeyInterval = Duration.seconds(120)

    /// - Parameters:
    ///   - network: nil for the VNI's.
    ///   - dataPort: nil for the endpoint's, or Geneve's where that isn't known.
    public init(
        publicKey: PublicKey, network: NetworkID? = nil, vni: UInt32, endpoint: Endpoint? = nil, isNamed: Bool = false,
        isPinned: Bool = false, controlPort: UInt16? = nil, dataPort: UInt16? = nil, isFirstRelease: Bool = false,
        suite: Suite = .aes128GCM, rekeyInterval: Duration = defaultRekeyInterval, presharedKey: PresharedKey? = nil
    ) {
        self.publicKey = publicKey
        self.network = network ?? .vni(vni)
        self.vni = vni
        self.endpoint = endpoint
        self.isNamed = isNamed
        self.isPinned = isPinned
        self.controlPort = controlPort
        self.dataPort = dataPort ?? endpoint?.port ?? Geneve.port
        self.isFirstRelease = isFirstRelease
        self.suite = suite
        self.rekeyInterval = rekeyInterval
        self.presharedKey = presharedKey
    }

    public var speaks: PeerProtocol { controlPort != nil ? .icx : isFirstRelease ? .firstRelease : .weft }

    /// How long an SA lives towards ICX's ends.
    public var associationLifetime: Duration { Self.associationLifetime(rekeyingEvery: rekeyInterval) }

    /// How long a key seals between Weft's ends, from its exchange on: at least 3 minutes.
    public var sealingTime: Duration { max(.seconds(180), rekeyInterval * 3 / 2) }

    /// How long it opens after that: what was sealed last may still be on its way.
    static let openingExcess = Duration.seconds(30)

    /// How long a replaced key opens between Weft's ends: so that with renewals of 10 s and more no third one is in memory.
    var grace: Duration { min(max(rekeyInterval / 2, .seconds(3)), Engine.grace) }

    /// How long an SA lives: four renewals, at least an hour and at most a day.
    public static func associationLifetime(rekeyingEvery interval: Duration) -> Duration {
        min(max(interval * 4, .seconds(3600)), .seconds(86_400))
    }

    /// The VNI that two ends share unless their files name one, or they name others to each other: 24 bits of the SHA-256 of both
    /// keys, the lower first.
    public static func derivedVNI(_ one: PublicKey, _ other: PublicKey) -> UInt32 {
        let keys = [one.subjectPublicKeyInfo, other.subjectPublicKeyInfo]
            .sorted { $0.lexicographicallyPrecedes($1) }
        let digest = EVPKey.sha256((Array("weft vni v1".utf8) + keys[0] + keys[1]).span)
        let bits = digest.prefix(3).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return max(bits, 1)
    }
}
