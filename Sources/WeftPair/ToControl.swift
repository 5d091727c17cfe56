// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftNames

/// Which of a control process' machines something is for: each has its own way for datagrams.
public enum LinkKind: UInt8, Hashable, Sendable, CaseIterable {
    /// Over the port that it shares with data.
    case shared = 0
    /// Over a port of control's own.
    case own = 1
}

/// What the data process tells the control process. Lists come in parts, and count once they are said to be complete.
public enum ToControl: Sendable {
    /// The longest datagram that is handed over, in bytes; a QUIC datagram has 1,200 to 1,500.
    public static let longestDatagram = 16_384

    /// The longest name of a tunnel, in bytes: a device's.
    static let longestName = 64

    /// Which endpoint a link is, and what one source may cost there: handshakes half done, and calls a second. Comes before all
    /// else for the link.
    case place(LinkKind, EndpointPlace, handshakesPerSource: UInt32, callsPerSource: UInt32)
    /// A peer, and what the engine has of it from before the control process began.
    case peer(LinkKind, ControlPeer, PeerPresence?)
    /// A prefix that the host routes into the tunnel.
    case tunnelled(LinkKind, Prefix)
    /// The peers and prefixes that were named since the last time are all.
    case peersComplete(LinkKind)

    /// Begins a list of initiators: what their networks have in common.
    case keyServer(LinkKind, lifetime: Duration, dataPort: UInt16?)
    case localPrefix(LinkKind, Prefix)
    case reserved(LinkKind, IPAddress)
    /// An initiator without its prefixes, which follow. Its number is what the control process calls it by.
    case initiator(LinkKind, number: UInt32, AuthorizedInitiator)
    /// A prefix of the initiator that was named last.
    case initiatorPrefix(LinkKind, Prefix)
    /// A network from before the control process began.
    case granted(LinkKind, GrantRecord)
    case initiatorsComplete(LinkKind)

    case datagram(LinkKind, from: AddressPair, [UInt8])
    /// A network's signs of life, where they changed.
    case activity(NetworkID, ActivityRecord)
    /// The host has other addresses.
    case addressesChanged
    /// The engine refused SAs.
    case refused(NetworkID, why: String)
    /// A network isn't there, though it was granted. Answered by ``ToData/refusalHeard(_:)``.
    case grantRefused(LinkKind, vni: UInt32)
    /// Answered by ``ToData/pong(_:)`` with the same number.
    case ping(UInt64)
    /// Say how all are doing now; answered by ``ToData/statusTold(_:)`` with the same number.
    case tellStatus(UInt64)
    /// The tunnel ends: tell all peers.
    case close

    /// A peer's name, and what the host's files say of it.
    case name(NetworkID, NameBook.Wanted)
    /// The names since the last time are all, and are looked up so.
    case namesComplete(ResolverSettings)
    /// What a resolver sent to a socket that ``ToData/question(socket:resolver:_:_:)`` named; nil if nothing will come there.
    case answer(socket: UInt32, [UInt8]?)
}

/// A network's signs of life on their way between the processes.
public struct ActivityRecord: Hashable, Sendable {
    /// Datagrams sent, keep-alives apart.
    public var sent: UInt64
    public var lastReceive: Instant?
    /// Where the peer roamed to, once.
    public var roamedTo: AddressPair?
    /// The newest receive SA if anything came under it.
    public var usedReceive: UInt32?

    public init(sent: UInt64, lastReceive: Instant?, roamedTo: AddressPair?, usedReceive: UInt32?) {
        self.sent = sent
        self.lastReceive = lastReceive
        self.roamedTo = roamedTo
        self.usedReceive = usedReceive
    }
}

/// A granted network on its way between the processes: its holder is called by number.
public struct GrantRecord: Hashable, Sendable {
    public var vni: UInt32
    public var address: IPAddress
    public var initiator: UInt32
    public var endpoint: Endpoint
    /// Which of our addresses its data leaves from; nil for the kernel's choice.
    public var localAddress: IPAddress?
    public var isReceiveOnly: Bool
    public var expiry: Instant

    public init(
        vni: UInt32, address: IPAddress, initiator: UInt32, endpoint: Endpoint, localAddress: IPAddress? = nil,
        isReceiveOnly: Bool, expiry: Instant
    ) {
        self.vni = vni
        self.address = address
        self.initiator = initiator
        self.endpoint = endpoint
        self.localAddress = localAddress
        self.isReceiveOnly = isReceiveOnly
        self.expiry = expiry
    }
}
