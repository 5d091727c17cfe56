// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftNames

/// What the control process tells the data process, which believes no more of it than the words say.
///
/// Peers are called by their networks and initiators by numbers, so that nothing here needs a parser of keys.
public enum ToData: Sendable {
    /// The control process works, in its sandbox: the version of what it speaks.
    case hello(UInt32)
    case pong(UInt64)
    case datagram(LinkKind, to: AddressPair, [UInt8])
    case install(NetworkID, SAPair)
    case installReceive(NetworkID, vni: UInt32, spi: UInt32, PacketKey, expiry: Instant)
    /// `grace` is how long older receive SAs live on.
    case installTransmit(NetworkID, vni: UInt32, spi: UInt32, PacketKey, expiry: Instant, grace: Duration)
    case moveEndpoint(NetworkID, AddressPair)
    /// Whether a peer answers sealed probes, as it said itself.
    case answersProbes(NetworkID, Bool)
    /// What outer headers to a peer take of ECN, as the peer said itself.
    case ecnMode(NetworkID, ECNMode)
    case keepAlive(NetworkID)
    case grantRemoved(LinkKind, vni: UInt32)
    case grantChanged(LinkKind, GrantRecord)
    case grantAdded(LinkKind, GrantRecord, SAPair)
    /// What was said of grants since the last time is one step, done before any datagram that follows is sent.
    case apply(LinkKind)
    /// A ``ToControl/grantRefused(_:vni:)`` was heard: until then no datagram of that port is sent, since it may speak of the
    /// network as granted.
    case refusalHeard(LinkKind)
    case peerStatus(NetworkID, PeerStatusRecord)
    case initiatorStatus(number: UInt32, InitiatorStatusRecord)
    /// Calls that came to nothing.
    case turnedAway(LinkKind, UInt64)
    /// All statuses were told since the request of that number.
    case statusTold(UInt64)
    /// A line for people.
    case log(String)
    /// All peers were told; the control process ends.
    case closed

    /// A question to a resolver, by a socket of that number, which is made with the first one.
    case question(socket: UInt32, resolver: IPAddress, DNSTransport, [UInt8])
    /// That socket has brought all that was wanted of it.
    case questionDone(socket: UInt32)
    /// What became of a peer's name.
    case nameStatus(NetworkID, NameStatusRecord)

    /// What both processes speak; they come from one build.
    public static let version: UInt32 = 9
    static let longestText = 1024
}

/// How a peer is doing, on its way between the processes.
public struct PeerStatusRecord: Hashable, Sendable {
    public var state: ControlPeerStatus.State
    public var endpoint: Endpoint?
    public var role: Role
    public var lastAgreement: Instant?
    public var agreements: UInt64
    public var failures: UInt64
    public var lastFailure: String?
    /// Two hosts that have its key; empty while there is one.
    public var hostsWithKey: [Endpoint]

    /// At most so many are told.
    static let mostHosts = 2

    public init(_ status: ControlPeerStatus) {
        self.init(
            state: status.state, endpoint: status.endpoint, role: status.role, lastAgreement: status.lastAgreement,
            agreements: status.agreements, failures: status.failures, lastFailure: status.lastFailure,
            hostsWithKey: status.hostsWithKey)
    }

    init(
        state: ControlPeerStatus.State, endpoint: Endpoint?, role: Role, lastAgreement: Instant?, agreements: UInt64,
        failures: UInt64, lastFailure: String?, hostsWithKey: [Endpoint] = []
    ) {
        self.state = state
        self.endpoint = endpoint
        self.role = role
        self.lastAgreement = lastAgreement
        self.agreements = agreements
        self.failures = failures
        self.lastFailure = lastFailure
        self.hostsWithKey = hostsWithKey
    }
}

/// What became of a peer's name, on its way between the processes.
public struct NameStatusRecord: Hashable, Sendable {
    /// At most so many addresses are told.
    static let mostAddresses = 32

    /// In the order in which they are called.
    public var addresses: [IPAddress]
    /// Why it can't be looked up, for people.
    public var failure: String?
    /// Whether the file's name for it is another one than before, which leads here.
    public var isRenamed: Bool

    public init(addresses: [IPAddress], failure: String?, isRenamed: Bool = false) {
        self.addresses = addresses
        self.failure = failure
        self.isRenamed = isRenamed
    }
}

/// How an initiator is doing, on its way between the processes.
public struct InitiatorStatusRecord: Hashable, Sendable {
    public var sessions: UInt32
    public var endpoint: Endpoint?
    public var networks: UInt32
    public var quarantined: UInt32
    public var grants: UInt64
    public var releases: UInt64
    public var delayed: UInt64
    public var refusals: [KeyRefusal: UInt64]

    /// One of which nothing is known.
    public static let none = InitiatorStatusRecord(
        sessions: 0, endpoint: nil, networks: 0, quarantined: 0, grants: 0, releases: 0, delayed: 0, refusals: [:])

    public init(_ status: InitiatorStatus) {
        self.init(
            sessions: UInt32(clamping: status.sessions), endpoint: status.endpoint,
            networks: UInt32(clamping: status.networks), quarantined: UInt32(clamping: status.quarantined),
            grants: status.grants, releases: status.releases, delayed: status.delayed,
            refusals: status.refusals)
    }

    init(
        sessions: UInt32, endpoint: Endpoint?, networks: UInt32, quarantined: UInt32, grants: UInt64,
        releases: UInt64, delayed: UInt64, refusals: [KeyRefusal: UInt64]
    ) {
        self.sessions = sessions
        self.endpoint = endpoint
        self.networks = networks
        self.quarantined = quarantined
        self.grants = grants
        self.releases = releases
        self.delayed = delayed
        self.refusals = refusals
    }
}
