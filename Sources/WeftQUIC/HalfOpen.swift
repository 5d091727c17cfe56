// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// Handshakes of callers who haven't proved a key yet, by source.
struct HalfOpen {
    private var sources: [SessionID: SourceAddress] = [:]
    private var counts: [SourceAddress: Int] = [:]
    /// How many sources have so many.
    private var levels: [Int: Int] = [:]
    /// In the order in which they began. Those that are over are left out when they are met.
    private var order: [SessionID] = []
    private var first = 0

    var count: Int { sources.count }

    func count(of source: SourceAddress) -> Int { counts[source] ?? 0 }

    mutating func add(_ session: SessionID, of source: SourceAddress) {
        // What ended before it was added is known to nobody.
        guard sources.updateValue(source, forKey: session) == nil else { return }
        order.append(session)
        change(source, by: 1)
    }

    mutating func remove(_ session: SessionID) {
        guard let source = sources.removeValue(forKey: session) else { return }
        change(source, by: -1)
        while first < order.count, sources[order[first]] == nil { first += 1 }
        // Those in the midst that are over stay until they are first; no more of them than there are others.
        if first > 1024 || order.count - first > 2 * sources.count + 1024 {
            order = order[first...].filter { sources[$0] != nil }
            first = 0
        }
    }

    /// The handshake that makes way for one more of a source; nil while there is room. Where the source has as many as it may,
    /// its own oldest; where all have, the oldest of the source that has most.
    func surplus(for source: SourceAddress, perSource: Int, total: Int) -> SessionID? {
        if count(of: source) >= perSource { return oldest { $0 == source } }
        guard count >= total else { return nil }
        let most = levels.keys.max() ?? 0
        return oldest { counts[$0] == most }
    }

    private func oldest(where matches: (SourceAddress) -> Bool) -> SessionID? {
        order[first...].first { session in sources[session].map(matches) ?? false }
    }

    private mutating func change(_ source: SourceAddress, by change: Int) {
        let before = counts[source] ?? 0
        let after = before + change
        counts[source] = after == 0 ? nil : after
        for (level, by) in [(before, -1), (after, 1)] where level > 0 {
            let sources = (levels[level] ?? 0) + by
            levels[level] = sources == 0 ? nil : sources
        }
    }
}
