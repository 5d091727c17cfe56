// SPDX-License-Identifier: Apache-2.0
import Weft

/// A network that a key server granted.
public struct GrantedNetwork: Hashable, Sendable {
    public let vni: UInt32
    /// The overlay address that was asked for.
    public let address: IPAddress
    /// Who asked for it.
    public let holder: PublicKey
    /// Where its data goes.
    public let endpoint: Endpoint
    /// Which of our addresses its data leaves from; nil for the kernel's choice.
    public let localAddress: IPAddress?
    /// Whether a newer network of the same address has taken over what is sent there.
    public let isReceiveOnly: Bool
    /// When its keys end.
    public let expiry: Instant

    public init(
        vni: UInt32, address: IPAddress, holder: PublicKey, endpoint: Endpoint, localAddress: IPAddress? = nil,
        isReceiveOnly: Bool, expiry: Instant
    ) {
        self.vni = vni
        self.address = address
        self.holder = holder
        self.endpoint = endpoint
        self.localAddress = localAddress
        self.isReceiveOnly = isReceiveOnly
        self.expiry = expiry
    }

    /// The network as an engine has it.
    /// - Parameter localPrefixes: our side of the routes; those of the address' family are used.
    public func network(localPrefixes: [Prefix]) -> NetworkConfiguration {
        let destination = Prefix(host: address)
        return NetworkConfiguration(
            .vni(vni), endpoint: endpoint, localAddress: localAddress,
            routes: localPrefixes.filter { $0.family == destination.family }
                .map { Route(source: $0, destination: destination) },
            isReceiveOnly: isReceiveOnly)
    }
}
