// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// Owns the UDP socket that a data path sends and receives with.
///
/// One socket serves both families where the host has IPv6. Don't-fragment is set on everything it sends; the kernel
/// computes checksums and refuses what is too long for the device.
public final class UDPSocket: Sendable {
    private let descriptor: SharedDescriptor
    let family: SocketFamily
    private let mark: UInt32
    /// The port that it is bound to.
    public var port: UInt16 { boundPort.load(ordering: .relaxed) }
    private let boundPort = Atomic<UInt16>(0)

    private let segmentation = Atomic(true)
    private let coalescing: Bool

    /// What a socket is for.
    public enum Role: Hashable, Sendable {
        case alone
        /// The first of several sockets of a port, which must be nobody else's.
        case opensPort
        /// Another one of several sockets of a port: the kernel spreads what comes over them by the outer flow, and keeps each
        /// flow on one (SO_REUSEPORT).
        case sharesPort
        /// Nobody reads what comes: the kernel throws it away.
        case sendsOnly
        /// Sends from a port that others receive at.
        case sendsBeside
        /// As ``sendsBeside``, in fragments what is longer than the device takes.
        case fragments
    }

    /// What the kernel does for a socket.
    public struct Capabilities: Hashable, Sendable, CustomStringConvertible {
        /// Cuts one send into datagrams (UDP_SEGMENT).
        public var segmentation: Bool
        /// Merges datagrams into one receive (UDP_GRO).
        public var coalescing: Bool

        public init(segmentation: Bool, coalescing: Bool) {
            self.segmentation = segmentation
            self.coalescing = coalescing
        }

        public var description: String {
            let names = [(segmentation, "gso"), (coalescing, "gro")].filter(\.0).map(\.1)
            return names.isEmpty ? "no offloads" : names.joined(separator: " ")
        }
    }

    /// What works at present: segmentation may turn out to be refused by a route or a device.
    public var capabilities: Capabilities {
        Capabilities(segmentation: segmentation.load(ordering: .relaxed), coalescing: coalescing)
    }

    func refuseSegmentation() { segmentation.store(false, ordering: .relaxed) }

    /// Bytes of socket buffer asked for: what arrives while a pump is busy waits there.
    private static let receiveBuffer: Int32 = 8 << 20
    /// Bytes that may wait in the kernel to leave: 17 ms of a line with 1 Gbit/s.
    private static let sendBuffer: Int32 = 2 << 20

    /// - Parameters:
    ///   - port: 0 lets the kernel choose.
    ///   - address: the one of our addresses that it works with, and then of this family alone; nil for all.
    ///   - mark: SO_MARK for policy routing; 0 for none. Any other needs CAP_NET_ADMIN.
    ///   - role: what it shares its port with, and whether it receives.
    ///   - offloads: which of the kernel's offloads to use, where it has them.
    ///   - inFragments: whether what the way doesn't take whole goes in fragments, as always with ``Role/fragments``.
    public init(
        port: UInt16, address local: IPAddress? = nil, mark: UInt32 = 0, role: Role = .alone, offloads: Offloads = .all,
        inFragments: Bool = false
    ) throws(DatapathError) {
        do throws(TransportError) {
            let (raw, family) = try Self.open()
            let descriptor = FileDescriptor(owning: raw)
            try Self.configure(raw, family, mark: mark, role, inFragments: inFragments || role == .fragments)
            let any = family == .v4Only ? IPAddress(v4: 0) : IPAddress(v6: 0, 0)
            guard var address = SocketAddress(Endpoint(local ?? any, port: port), family) else {
                throw TransportError("bind UDP port \(port)", code: EADDRNOTAVAIL)
            }
            try SystemCall.retrying("bind UDP port \(port)") {
                unsafe Self.withPointer(to: &address) { unsafe bind(raw, $0, SocketAddress.length(family)) }
            }
            if role == .opensPort {
                // Only now: set before, it would let the port be somebody else's too.
                try Self.share(raw)
            }
            var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
            try SystemCall.retrying("ask for the bound port") {
                unsafe Self.withPointer(to: &address) { unsafe getsockname(raw, $0, &length) }
            }
            self.descriptor = SharedDescriptor(descriptor)
            self.family = family
            self.mark = mark
            coalescing =
                offloads.contains(.gro) && Self.set(raw, Int32(IPPROTO_UDP), Int32(UDP_GRO), 1) == 0
            // Setting no default size asks whether the kernel knows the option, and changes nothing.
            let knowsSegmentation = Self.set(raw, Int32(IPPROTO_UDP), Int32(UDP_SEGMENT), 0) == 0
            boundPort.store(address.endpoint.port, ordering: .relaxed)
            segmentation.store(offloads.contains(.gso) && knowsSegmentation, ordering: .relaxed)
        } catch {
            switch error.code {
            case EADDRINUSE:
                throw .setup("UDP port \(port) is in use: stop the other program or choose another ListenPort")
            case EADDRNOTAVAIL:
                throw .setup(
                    "\(local.map { "\($0)" } ?? "the address") isn't one of this host's: give it to an interface, or choose "
                        + "another Listen")
            case EACCES:
                throw .setup("cannot \(error.operation): run as root or grant CAP_NET_BIND_SERVICE")
            case EPERM:
                throw .setup("cannot \(error.operation): run as root or grant CAP_NET_ADMIN")
            default: throw .transport(error)
            }
        }
    }

    private static func open() throws(TransportError) -> (Int32, SocketFamily) {
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let dual = socket(AF_INET6, type, 0)
        if dual >= 0 {
            if set(dual, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) == 0 { return (dual, .dualStack) }
            _ = Glibc.close(dual)
        }
        return (try SystemCall.retrying("open a UDP socket") { socket(AF_INET, type, 0) }, .v4Only)
    }

    /// Has the first sockets of this one's port receive, in the order in which they were bound, and no other that joins them.
    /// - Parameter receivers: how many of them; at least one, and two that share the port.
    public func steer(receivers: Int) throws(DatapathError) {
        do throws(TransportError) { try PortSteering.attach(to: raw, receivers: receivers) } catch {
            throw .transport(error)
        }
    }

    private static func share(_ raw: Int32) throws(TransportError) {
        try SystemCall.retrying("share the UDP port between queues") { set(raw, SOL_SOCKET, SO_REUSEPORT, 1) }
    }

    private static func set(_ raw: Int32, _ level: Int32, _ option: Int32, _ value: Int32) -> Int32 {
        var value = value
        return unsafe setsockopt(raw, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Don't-fragment on what is sent, whatever anybody says of the path by ICMP, which is easily forged: what a path takes is found
    /// by probes. Or fragments: IPv6's of the length that each path takes (RFC 8200 section 5), IPv4's as the device has it, and
    /// routers may go on.
    private static func setFragmentation(
        _ raw: Int32, _ family: SocketFamily, fragments: Bool
    ) throws(TransportError) {
        try SystemCall.retrying("say what becomes of long datagrams") {
            set(raw, Int32(IPPROTO_IP), IP_MTU_DISCOVER, fragments ? IP_PMTUDISC_OMIT : IP_PMTUDISC_PROBE)
        }
        guard family == .dualStack else { return }
        try SystemCall.retrying("say what becomes of long datagrams") {
            set(raw, Int32(IPPROTO_IPV6), IPV6_MTU_DISCOVER, fragments ? IPV6_PMTUDISC_OMIT : IPV6_PMTUDISC_PROBE)
        }
        guard fragments else { return }
        try SystemCall.retrying("say how long fragments are") {
            set(raw, Int32(IPPROTO_IPV6), IPV6_MTU, leastMTU)
        }
    }

    /// What each IPv6 path takes, in bytes of the IP packet.
    private static let leastMTU: Int32 = 1280

    private static func configure(
        _ raw: Int32, _ family: SocketFamily, mark: UInt32, _ role: Role, inFragments: Bool
    ) throws(TransportError) {
        if [.sharesPort, .sendsBeside, .fragments].contains(role) { try share(raw) }
        try setFragmentation(raw, family, fragments: inFragments)
        // Tells to which of our addresses a datagram came; a kernel that can't leaves the choice of ours to itself.
        // And what routers said of congestion.
        _ = set(raw, Int32(IPPROTO_IP), IP_RECVTOS, 1)
        if family == .dualStack {
            _ = set(raw, Int32(IPPROTO_IPV6), IPV6_RECVTCLASS, 1)
            _ = set(raw, Int32(IPPROTO_IPV6), IPV6_RECVPKTINFO, 1)
        } else {
            _ = set(raw, Int32(IPPROTO_IP), IP_PKTINFO, 1)
        }
        if mark != 0 {
            try SystemCall.retrying("mark the UDP socket") {
                set(raw, SOL_SOCKET, SO_MARK, Int32(bitPattern: mark))
            }
        }
        // Beyond the system's limit with CAP_NET_ADMIN, else up to it; a smaller buffer only loses more under load.
        let receiveSize = [.sendsOnly, .sendsBeside, .fragments].contains(role) ? 0 : receiveBuffer
        for (force, plain, size) in [
            (SO_RCVBUFFORCE, SO_RCVBUF, receiveSize), (SO_SNDBUFFORCE, SO_SNDBUF, sendBuffer),
        ] where set(raw, SOL_SOCKET, force, size) != 0 {
            _ = set(raw, SOL_SOCKET, plain, size)
        }
    }

    static func withPointer<Result>(
        to address: inout SocketAddress, _ body: (UnsafeMutablePointer<sockaddr>) -> Result
    ) -> Result {
        // Safe: a socket address of either family begins with the same fields, and the storage holds the larger.
        unsafe withUnsafeMutablePointer(to: &address.storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0) }
        }
    }

    var raw: Int32 { descriptor.raw }

    /// Becomes another socket, of the same role and offloads: what it was bound to is free, what waited there is lost, and all that
    /// uses it goes on with the other's. Under traffic.
    public func become(_ other: UDPSocket) throws(DatapathError) {
        do throws(TransportError) {
            // Whoever waits for the old one looks again within half a second.
            try SystemCall.retrying("go on with another socket") { dup2(other.raw, raw) }
            // The descriptor isn't inherited: that was lost with the old socket.
            try SystemCall.retrying("go on with another socket") { fcntl(raw, F_SETFD, FD_CLOEXEC) }
        } catch { throw .transport(error) }
        boundPort.store(other.port, ordering: .relaxed)
        other.close()
    }

    /// Gives it back to the system. No end may be in use any more; twice is harmless.
    public func close() { descriptor.close() }

    /// The MTU that the kernel knows for the path to an endpoint. It tells connected sockets only.
    func pathMTU(to endpoint: Endpoint) -> Int? {
        guard let (raw, family) = try? Self.open() else { return nil }
        let probe = FileDescriptor(owning: raw)
        if mark != 0 { _ = Self.set(raw, SOL_SOCKET, SO_MARK, Int32(bitPattern: mark)) }
        guard var address = SocketAddress(endpoint, family),
            unsafe Self.withPointer(to: &address, { unsafe connect(probe.raw, $0, SocketAddress.length(family)) }) == 0
        else { return nil }
        var mtu: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let isV4 = endpoint.address.family == .v4
        let level = isV4 ? Int32(IPPROTO_IP) : Int32(IPPROTO_IPV6)
        guard unsafe getsockopt(probe.raw, level, isV4 ? IP_MTU : IPV6_MTU, &mtu, &length) == 0 else { return nil }
        return Int(mtu)
    }
}
