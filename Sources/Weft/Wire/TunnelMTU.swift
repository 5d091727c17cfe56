// SPDX-License-Identifier: Apache-2.0

/// How large an inner packet may be.
public enum TunnelMTU {
    /// What fits whole into an underlay packet: less the IP header (20 or 40), UDP (8), and Geneve with its tag (48).
    ///
    /// - Parameters:
    ///   - underlay: the underlay's MTU, in bytes.
    ///   - family: the endpoint's; nil while it is open, and then IPv6's larger header counts.
    public static func inner(underlay: Int, family: IPAddress.Family?) -> Int {
        let header = family == .v4 ? InnerPacket.v4HeaderLength : InnerPacket.v6HeaderLength
        return underlay - header - OuterHeaders.udpLength - Geneve.overhead
    }
}
