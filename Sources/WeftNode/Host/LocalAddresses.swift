// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftLink

/// Notices that this host's own addresses changed by which it sends to peers: those that only answer would otherwise never hear of
/// it. Interfaces that lead to none of them may come and go.
struct LocalAddresses: ~Copyable {
    private let mark: UInt32
    private var netlink: Netlink?
    private var known: Set<IPAddress> = []
    /// The address that datagrams to each endpoint leave from; nil while there is no way.
    private var sources: [IPAddress: IPAddress?] = [:]
    private var nextLook = Instant(nanoseconds: 0)
    private static let interval = Duration.milliseconds(500)

    /// - Parameter mark: of the tunnel's own datagrams, by which they are routed.
    init(mark: UInt32) {
        self.mark = mark
        netlink = try? Netlink()
    }

    /// Whether it is another address than at the last look, which is due twice a second.
    /// - Parameter endpoints: where the peers are.
    mutating func changed(at now: Instant, endpoints: () -> Set<IPAddress>) -> Bool {
        guard now >= nextLook else { return false }
        nextLook = now.advanced(by: Self.interval)
        let (before, present, endpoints) = (known, HostAddresses.present().own, endpoints())
        known = present
        guard !before.isEmpty, before != present else {
            // What the next change is compared with.
            for endpoint in endpoints where sources[endpoint] == nil { sources[endpoint] = .some(source(to: endpoint)) }
            if sources.count > endpoints.count { sources = sources.filter { endpoints.contains($0.key) } }
            return false
        }
        let old = sources
        sources = [:]
        for endpoint in endpoints { sources[endpoint] = .some(source(to: endpoint)) }
        return endpoints.contains { old[$0] != sources[$0] }
    }

    private mutating func source(to endpoint: IPAddress) -> IPAddress? {
        (try? netlink?.path(to: endpoint, mark: mark))??.source
    }
}
