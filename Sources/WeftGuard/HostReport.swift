// SPDX-License-Identifier: Apache-2.0
import Weft

/// What became of what a tunnel put into its host.
public struct HostReport: Hashable, Sendable {
    /// How often things of one kind were put back.
    public struct Restored: Hashable, Sendable {
        public var count: UInt64 = 0
        public var last = Instant(nanoseconds: 0)

        public init() {}
    }

    /// By ``HostDifference/kind``.
    public var restored: [String: Restored] = [:]
    /// What isn't as it should be and can't be put back, or not yet; what to do, where that is known.
    public var trouble: [String] = []
    /// Whether what the tunnel should carry can't leave otherwise.
    public var isGuarded = false
    public init() {}

    mutating func note(restored kinds: Set<String>, at now: Instant) {
        for kind in kinds {
            var entry = restored[kind, default: Restored()]
            entry.count += 1
            entry.last = now
            restored[kind] = entry
        }
    }
}
