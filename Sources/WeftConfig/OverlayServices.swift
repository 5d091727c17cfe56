// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a tunnel in a private network does for those outside of it.
public struct OverlayServices: Hashable, Sendable {
    /// The overlay's resolvers: whom names of the overlay are asked of; at most 3.
    public var resolvers: [IPAddress] = []

    /// As many as the C library asks (MAXNS).
    public static let mostResolvers = 3

    public init() {}
}

/// What could be read of them.
struct OverlayServicesDraft {
    var resolvers: ItemList<IPAddress>?

    var complete: OverlayServices {
        var services = OverlayServices()
        services.resolvers = resolvers?.items ?? []
        return services
    }
}

extension TunnelFileParser {
    mutating func overlayServices(in entries: SectionEntries<InterfaceKey>) -> OverlayServicesDraft {
        var draft = OverlayServicesDraft()
        draft.resolvers = list(of: .dns, in: entries, identity: \.self, FileValues.resolver)
        if let count = draft.resolvers?.items.count, count > OverlayServices.mostResolvers {
            diagnostics.add(
                line: entries.lines[.dns],
                "DNS: expected at most \(OverlayServices.mostResolvers) addresses, found \(count)")
        }
        return draft
    }

    /// Where an interface is the host's own, the host needs none of them.
    mutating func checkOverlayServices(_ interface: InterfaceDraft) {
        guard let driver = interface.driver, driver == .tun || driver == .xdp else { return }
        for key in [InterfaceKey.dns] where interface.lines[key] != interface.lines.header {
            diagnostics.add(
                line: interface.lines[key],
                "\(key.rawValue): needs Driver = private (line \(interface.lines[.driver])): with \(driver.rawValue) the host itself "
                    + "reaches the overlay: leave one of them out")
        }
    }
}
