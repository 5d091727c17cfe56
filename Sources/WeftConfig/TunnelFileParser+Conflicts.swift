// SPDX-License-Identifier: Apache-2.0
import Weft

extension TunnelFileParser {
    /// Reports values that are fine by themselves and can't stand together.
    mutating func findConflicts() {
        checkKinds()
        checkIdentities()
        checkInitiators()
        checkMTU()
        checkVirtualNetworks()
        checkKeys()
        checkPrefixes()
        checkFamilies()
        checkListen()
        checkRouting()
    }

    /// IPv6 works only on links that carry 1280 bytes (RFC 8200 section 5).
    private mutating func checkMTU() {
        guard let interface, let mtu = interface.mtu, (1..<1280).contains(mtu) else { return }
        let cause: InterfaceKey
        if let addresses = interface.addresses, addresses.items.contains(where: { $0.address.family == .v6 }) {
            cause = .address
        } else if let localIPs = interface.namedLocalIPs, localIPs.items.contains(where: { $0.family == .v6 }) {
            cause = .localIPs
        } else {
            return
        }
        diagnostics.add(
            line: interface.lines[.mtu],
            """
            MTU: expected a number from 1280 to 65535, as \(cause.rawValue) (line \(interface.lines[cause])) \
            holds IPv6, found "\(mtu)"
            """)
    }

    private mutating func checkVirtualNetworks() {
        var places: [UInt32: (line: Int, isDerived: Bool)] = [:]
        // Of Weft's ends each names what it receives with, so that what follows from their keys may meet.
        for peer in peers where peer.hasOwnVNI || peer.speaks == 1 {
            guard let vni = peer.vni else { continue }
            let line = peer.lines[.vni]
            // What a file leaves out follows from the keys of both ends.
            let isDerived = line == peer.lines.header
            guard let first = places[vni] else {
                places[vni] = (line, isDerived)
                continue
            }
            var help = "expected one of its own"
            if isDerived || first.isDerived {
                help = "it follows from public keys: give one of these peers a VNI, here and at its own end"
            }
            diagnostics.add(line: line, "VNI: \(vni) is the peer's of line \(first.line) too: \(help)")
        }
    }

    /// A guard, and the way through another tunnel, work by rules, which only Table = auto makes.
    private mutating func checkRouting() {
        guard let interface else { return }
        if interface.through != nil, interface.driver == .xdp {
            diagnostics.add(
                line: interface.lines[.through],
                "Through: AF_XDP sends by an Ethernet device alone: take Driver = tun (line \(interface.lines[.driver]))"
            )
        }
        checkPrivateRouting(interface)
        checkOverlayServices(interface)
        guard let table = interface.table, table != .automatic else { return }
        for (key, isWanted) in [
            (InterfaceKey.guarding, interface.guarding == .on), (.through, interface.through != nil),
        ]
        where isWanted {
            diagnostics.add(
                line: interface.lines[key],
                "\(key.rawValue): needs Table = auto (line \(interface.lines[.table])): leave one of them out")
        }
    }

    /// A private network has no routes but the tunnel's, and its datagrams go as this user's others do.
    private mutating func checkPrivateRouting(_ interface: InterfaceDraft) {
        guard interface.driver == .privateNamespace else { return }
        for (key, isWanted) in interface.hostKeys where isWanted {
            diagnostics.add(
                line: interface.lines[key],
                "\(key.rawValue): is of the host's routes, and Driver = private (line \(interface.lines[.driver])) makes none there: "
                    + "leave one of them out")
        }
    }

    /// A key in two places would seal two streams of packets with the same nonces, or let them be played back.
    private mutating func checkKeys() {
        var places: [KeyFingerprint: (name: PeerKey, line: Int)] = [:]
        for peer in peers {
            for (name, key) in [(PeerKey.sendKey, peer.sendKey), (.receiveKey, peer.receiveKey)] {
                guard let key else { continue }
                let line = peer.lines[name]
                guard let fingerprint = KeyFingerprint(key, role: .anyRole) else {
                    diagnostics.add(line: line, "\(name.rawValue): can't be compared, as OpenSSL has no SHA-256 here")
                    continue
                }
                if let first = places[fingerprint] {
                    diagnostics.add(
                        line: line,
                        """
                        \(name.rawValue): is the same key as \(first.name.rawValue) on line \(first.line): \
                        expected a key that occurs nowhere else
                        """)
                } else {
                    places[fingerprint] = (name, line)
                }
            }
        }
    }

    /// Nested prefixes are fine, as the longest wins; equal ones leave open who is meant.
    private mutating func checkPrefixes() {
        var lines: [Prefix: Int] = [:]
        for peer in peers {
            let line = peer.lines[.allowedIPs]
            for prefix in peer.allowedIPs?.items ?? [] {
                if let first = lines[prefix] {
                    diagnostics.add(
                        line: line,
                        "AllowedIPs: \(prefix) is the peer's of line \(first) too: expected it in one peer only")
                } else {
                    lines[prefix] = line
                }
            }
        }
    }

    /// A route is a pair of prefixes of one family, so that each family of the others needs one of ours.
    /// A socket at an address of one family reaches none of the other.
    private mutating func checkListen() {
        guard let interface, let address = interface.listenAddress else { return }
        let (own, other) = address.family == .v4 ? ("IPv4", "IPv6") : ("IPv6", "IPv4")
        for peer in peers {
            guard let endpoint = peer.endpoint, endpoint.address.family != address.family else { continue }
            diagnostics.add(
                line: peer.lines[.endpoint],
                "Endpoint: \(endpoint) is \(other), and Listen (line \(interface.lines[.listen])) is \(own): leave one of them out"
            )
        }
    }

    private mutating func checkFamilies() {
        guard let interface, let localIPs = interface.localIPs else { return }
        let families = Set(localIPs.map(\.family))
        let named = interface.namedLocalIPs != nil
        let ours = named ? InterfaceKey.localIPs : .address
        let claims =
            peers.map { (line: $0.lines[.allowedIPs], prefixes: $0.allowedIPs?.items ?? []) }
            + initiators.map { (line: $0.lines[.allowedIPs], prefixes: $0.allowedIPs?.items ?? []) }
        for claim in claims {
            var reported = families
            for prefix in claim.prefixes where reported.insert(prefix.family).inserted {
                let family = prefix.family == .v4 ? "IPv4" : "IPv6"
                diagnostics.add(
                    line: claim.line,
                    """
                    AllowedIPs: \(prefix) is \(family): expected an \(family) prefix in \(ours.rawValue) \
                    (line \(interface.lines[ours])) too
                    """)
            }
        }
    }
}
