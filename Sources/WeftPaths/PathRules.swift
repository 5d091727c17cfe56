// SPDX-License-Identifier: Apache-2.0
import Weft

/// What is known of a peer's paths from elsewhere: its section in the file, and what it said that it can do.
public struct PathRules: Hashable, Sendable {
    /// Whether the peer answers sealed probes.
    public enum Answering: Hashable, Sendable {
        /// It doesn't, as ICX and Weft's first release: it is where the file and its control connection say.
        case never
        /// Nobody said so, as with keys that were carried by hand: it is where the file says until a probe was answered.
        case perhaps
        /// It said that it does.
        case always
    }

    /// The file's endpoint, if that is an address.
    public var endpoint: Endpoint?
    /// What it stands for, if it is a name, in the order of preference; none before that was looked up.
    public var named: [Endpoint]
    /// Whether the endpoint stays what the file says.
    public var isPinned: Bool
    public var answering: Answering

    public init(endpoint: Endpoint?, named: [Endpoint] = [], isPinned: Bool = false, answering: Answering) {
        self.endpoint = endpoint
        self.named = named
        self.isPinned = isPinned
        self.answering = answering
    }
}

/// Who suggested that a peer might be somewhere, the more telling the higher.
public enum PathOrigin: Int, Hashable, Sendable, Comparable {
    /// A datagram of its came from there.
    case source
    /// The file does, by an address or a name.
    case name
    /// Its control session does: QUIC has had answers from there.
    case session
    /// The file has come to say so, by another name.
    case newName

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Which addresses no peer is followed to.
public struct ForbiddenPlaces: Sendable {
    /// The host's own, and those that are all hosts' of one of its networks. Only the file may name one.
    public var addresses: Set<IPAddress> = []
    /// What the host routes into the tunnel: what is sealed would be sealed again and again.
    public var tunnelled: [Prefix] = []

    public init() {}

    /// Whether a datagram may be sent there because somebody, and not the file, suggested it.
    func forbid(_ place: AddressPair) -> Bool {
        let address = place.remote.address
        return !place.remote.canBeReached || address.isLoopback || address.isMapped || addresses.contains(address)
            || tunnelled.contains { $0.contains(address) }
    }
}
