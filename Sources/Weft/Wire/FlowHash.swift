// SPDX-License-Identifier: Apache-2.0

/// A keyed, symmetric hash of a flow: both directions of it give the same value.
///
/// FNV-1a over the ordered addresses, then the ordered ports of TCP and UDP, else the protocol number; as ICX's. A
/// fragment is hashed without ports, since only the first has them and all must take the same path.
public struct FlowHash: Sendable {
    private let basis: UInt64

    /// - Parameter key: secret to this host, so that nobody else can choose its source ports.
    public init(key: UInt64) { basis = 0xCBF2_9CE4_8422_2325 ^ key }

    /// The hash's low 16 bits; 0 for what isn't a whole IP packet.
    public func hash(_ packet: RawSpan) -> UInt16 {
        guard let inner = InnerPacket(packet) else { return 0 }
        var hash = basis
        let transport: Int
        let end: Int
        let proto: UInt8
        switch inner.family {
        case .v4:
            guard inner.lengthsAreConsistent(in: packet) else { return 0 }
            transport = Int(packet.load(at: 0, as: UInt8.self) & 0x0F) * 4
            let isFragment = packet.load(at: 6, as: UInt16.self) & 0x3FFF != 0
            end = isFragment ? transport : Int(packet.load(at: 2, as: UInt16.self))
            proto = packet.load(at: 9)
        case .v6:
            transport = InnerPacket.v6HeaderLength
            end = packet.byteCount
            proto = packet.load(at: 6)
        }
        let (lower, upper) =
            inner.source < inner.destination
            ? (inner.source, inner.destination) : (inner.destination, inner.source)
        mix(lower, into: &hash)
        mix(upper, into: &hash)
        if proto == IPProtocol.tcp || proto == IPProtocol.udp, end - transport >= 4 {
            let ports = (
                packet.load(at: transport, as: UInt16.self), packet.load(at: transport + 2, as: UInt16.self)
            )
            mix(UInt64(min(ports.0, ports.1)), bytes: 2, into: &hash)
            mix(UInt64(max(ports.0, ports.1)), bytes: 2, into: &hash)
        } else {
            mix(UInt64(proto), bytes: 1, into: &hash)
        }
        return UInt16(truncatingIfNeeded: hash)
    }

    /// The UDP source port of a hash: 49152...65535 (RFC 8926 section 3.3).
    public static func port(of hash: UInt16) -> UInt16 { 49152 + hash % 16384 }

    @inline(__always)
    private func mix(_ address: IPAddress, into hash: inout UInt64) {
        switch address.family {
        case .v4:
            mix(UInt64(address.v4Bits), bytes: 4, into: &hash)
        case .v6:
            mix(address.high, bytes: 8, into: &hash)
            mix(address.low, bytes: 8, into: &hash)
        }
    }

    /// Mixes the low `bytes` bytes of `value`, the most significant first.
    @inline(__always)
    private func mix(_ value: UInt64, bytes: UInt64, into hash: inout UInt64) {
        var shift = bytes * 8
        while shift > 0 {
            shift &-= 8
            hash = (hash ^ (value >> shift & 0xFF)) &* 0x100_0000_01B3
        }
    }
}
