// SPDX-License-Identifier: Apache-2.0

extension TunnelMapEntry {
    /// What is wrong with it, or nil.
    public var flaw: String? {
        guard (neverInTheClear ? 0 : 1)...Nexthop.maximumCount ~= nexthops.count else {
            return "\(nexthops.count) nexthops: expected 1 to \(Nexthop.maximumCount), or none if never in the clear"
        }
        var seeds: Set<UInt64> = []
        for nexthop in nexthops {
            if let flaw = nexthop.flaw { return flaw }
            guard seeds.insert(nexthop.seed).inserted else {
                return "the nexthop of peer \(nexthop.peer) stands there twice"
            }
        }
        return nil
    }
}
