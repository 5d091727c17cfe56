// SPDX-License-Identifier: Apache-2.0

/// What strangers may cost on the way to who takes control datagrams.
public struct CallLimits: Hashable, Sendable {
    /// First packets a second from one source: an IPv4 address, or an IPv6 network of 64 bits.
    public var callsPerSource = 50
    /// First packets a second from all sources.
    public var calls = 8000
    /// Short packets for none of our ids a second, from one source.
    public var resetsPerSource = 10
    /// The same from all sources.
    public var resets = 2000

    public init() {}
}
