// SPDX-License-Identifier: Apache-2.0

/// Something that happens to a host with a tunnel, to its peer, or between them.
struct SoakEvent: Sendable {
    /// Where an event's scripts run.
    enum Place: Sendable {
        /// The host whose tunnel is guarded.
        case left
        /// Between both.
        case router
        /// The host that the tunnel leads to.
        case right
        /// Outside of all hosts: `left`, `router` and `right` are processes in their namespaces.
        case outside
    }

    let name: String
    let place: Place
    /// For sh(1). On a host with a tunnel `data`, `control` and `spawner` are its processes, `table` is its routing table, `weft`
    /// the command, `n` a number from 0 to 99; the working directory is the host's, where the tunnel's file `weft0.conf` lies.
    let change: String
    /// What puts the change back, a moment later; empty where Weft does, or where nothing is to be put back.
    let restoration: String
    /// Whether all is back before it is put back, too, and that is waited for.
    let isBearable: Bool
    /// Seconds that it may take, if those are more than the soak's patience.
    let patience: Double
    /// Nil where it can happen anywhere.
    let need: Need?

    /// What an event takes.
    enum Need: Sendable {
        /// A wall clock of the host's own; `step` sets how many seconds off it is.
        case ownClock
        /// AF_XDP's pair of interfaces.
        case pair
        /// A router that translates addresses, and a name for the peer.
        case translation
        /// A peer that knows its host by its address, and an address for the peer.
        case noTranslation
    }

    /// - Parameters:
    ///   - restoration: a moment later.
    ///   - laterRestoration: once all is back, instead.
    init(
        _ name: String, at place: Place = .left, _ change: String, then restoration: String = "",
        afterwards laterRestoration: String? = nil, needs need: Need? = nil, within patience: Double = 0
    ) {
        self.name = name
        self.place = place
        self.change = change
        self.restoration = laterRestoration ?? restoration
        isBearable = laterRestoration != nil
        self.patience = patience
        self.need = need
    }

    static let all = hostEvents + underlayEvents + processEvents + neighborEvents + clockEvents + pathEvents

    /// Those with a text in their names, or "paths": all that happen between a host and its peer.
    static func chosen(by text: String?) -> [SoakEvent] {
        guard let text else { return all }
        return text == "paths" ? pathEvents + addresses : all.filter { $0.name.contains(text) }
    }
}
