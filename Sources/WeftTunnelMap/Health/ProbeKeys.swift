// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftControl

/// The keys that probes are tagged with: the fleet's, and one for each pair of agents that derives from it.
final class ProbeKeys: Sendable {
    /// A key that can be kept in a dictionary.
    private final class Pair: Sendable {
        let key: FleetKey
        init(_ key: consuming FleetKey) { self.key = key }
    }

    private let fleet: FleetKey
    private let pairs = Mutex<[String: Pair]>([:])
    /// More pairs than an agent has at a time: they are derived anew then.
    private static let limit = 16_384

    init(_ fleet: consuming FleetKey) { self.fleet = fleet }

    /// HMAC-SHA-256 of a message; nil if OpenSSL fails.
    func tag(
        over message: Span<UInt8>, _ version: ProbeMessage.Version, between one: String, _ other: String
    ) -> [UInt8]? {
        switch version {
        case .fleet: fleet.tag(over: message)
        case .pairs: pair(one, other)?.key.tag(over: message)
        }
    }

    /// HKDF-Expand (RFC 5869 section 2.3) of the fleet's key to 32 bytes; both ends' names stand in its `info`, in order.
    private func pair(_ one: String, _ other: String) -> Pair? {
        let names = [one, other].sorted().map { Array($0.utf8) }
        let info = Array("weft tunnel-map probe 2".utf8) + [0] + names[0] + [0] + names[1] + [0]
        let id = String(decoding: info, as: UTF8.self)
        if let known = pairs.withLock({ $0[id] }) { return known }
        guard let bytes = fleet.tag(over: (info + [1]).span) else { return nil }
        let new = Pair(FleetKey(copying: bytes.span))
        pairs.withLock { pairs in
            if pairs.count >= Self.limit { pairs.removeAll() }
            pairs[id] = new
        }
        return new
    }
}
