// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftGuard

/// What `weft show` says of addresses, routes, rules and the like that the tunnel has put into the host.
package struct HostStatus: Codable, Sendable {
    package struct Restored: Codable, Sendable {
        package let count: UInt64
        /// Seconds since the last time.
        package let latest: Double
    }

    /// Whether what the tunnel should carry goes nowhere while the tunnel can't carry it.
    package let guarded: Bool
    /// How often what somebody changed was put back, by kind: `interface`, `addresses`, `routes`, `rules`, `settings`,
    /// `nftables`. Kinds without a time are left out.
    package let restored: [String: Restored]
    /// What isn't as it should be, in words.
    package let trouble: [String]

    init(_ report: HostReport, at now: Instant) {
        guarded = report.isGuarded
        restored = report.restored.mapValues { .init(count: $0.count, latest: now.seconds(since: $0.last)) }
        trouble = report.trouble
    }

    /// One line each; none when there is nothing to tell.
    var text: [String] {
        let times = restored.sorted { $0.key < $1.key }.map { kind, restored in
            "\(kind) restored \(restored.count == 1 ? "once" : "\(restored.count) times"), "
                + "last \(restored.latest < 1 ? "just now" : Units.ago(restored.latest))"
        }
        return (guarded ? ["guarded: nothing that the tunnel should carry leaves otherwise"] : [])
            + (times.isEmpty ? [] : [times.joined(separator: "; ")]) + trouble
    }
}
