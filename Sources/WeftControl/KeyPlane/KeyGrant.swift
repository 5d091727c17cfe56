// SPDX-License-Identifier: Apache-2.0
import Weft

/// A virtual network that a ``KeyResponder`` granted: what an initiator's engine needs of it.
///
/// It lives until it is released, its session ends, or its keys expire.
public struct KeyGrant: Sendable {
    /// 1...16777215; the responder's number, the same at both ends.
    public let vni: UInt32
    /// Our address in the overlay.
    public let overlayAddress: IPAddress
    /// Where the responder takes data.
    public let endpoint: Endpoint
    public let keys: SAPair
    /// Whether the responder carries marks of congestion inwards, so that outer headers may be marked.
    public let carriesECN: Bool

    /// The network as engines know it.
    public var id: NetworkID { .vni(vni) }

    /// Adds the network to an engine, with keys.
    /// - Parameters:
    ///   - prefixes: what lies behind the responder, for which our ``overlayAddress`` is the source.
    ///   - keepAliveInterval: how often we show the responder, and what lies between, that we are there; nil for never.
    ///   - older: an earlier grant for the same address, which was added with the same prefixes. It goes on receiving, and
    ///     sends nothing any more; remove and release it once what was on its way has come.
    /// - Throws: when the engine has the VNI, or another network one of the routes; release the grant then.
    public func add(
        to engine: Engine, prefixes: [Prefix], keepAliveInterval: Duration? = nil, replacing older: KeyGrant? = nil
    ) throws(EngineError) {
        var changes = NetworkChanges()
        changes.added = [network(prefixes, keepAliveInterval)]
        changes.keys = [id: keys]
        if let older {
            var receiving = older.network(prefixes, nil)
            receiving.isReceiveOnly = true
            changes.changed = [receiving]
        }
        try engine.apply(changes)
        if carriesECN { engine.setECNMode(of: id, to: .normal) }
    }

    private func network(_ prefixes: [Prefix], _ keepAliveInterval: Duration?) -> NetworkConfiguration {
        NetworkConfiguration(
            id, endpoint: endpoint,
            routes: prefixes.map { Route(source: Prefix(host: overlayAddress), destination: $0) },
            keepAliveInterval: keepAliveInterval)
    }
}
