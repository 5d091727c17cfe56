// SPDX-License-Identifier: Apache-2.0

/// How large an inner packet may be so that it leaves as one datagram.
public enum TunnelMTU {
    /// The inner MTU for an underlay MTU: less the outer IP header, the UDP header and what sealing adds. At 1500 it is
    /// 1424 on IPv4 and 1404 on IPv6.
    ///
    /// - Parameter family: the underlay's; nil while the endpoint is open, and then as for IPv6, which fits both.
    public static func inner(underlay: Int, family: IPAddress.Family?) -> Int {
        let header = family == .v4 ? InnerPacket.v4HeaderLength : InnerPacket.v6HeaderLength
        return underlay - header - OuterHeaders.udpLength - Geneve.overhead
    }
}
