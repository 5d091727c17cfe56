// SPDX-License-Identifier: Apache-2.0
import Weft

/// Finds how long a packet a path takes (RFC 8899), by questions that are as long as a sealed packet of that length.
///
/// The longest of all is tried first, and nothing is held back before that has failed. Then data is cut down to what every path takes,
/// and the length that passes is looked for in halves. What was found is asked again and again while data goes out, so that a path that
/// shrinks in silence is noticed; and the longest is tried again from time to time.
struct MTUSearch: Hashable, Sendable {
    /// Lengths that lie closer together aren't told apart, in bytes.
    private static let grain = 16
    /// Questions of a length without an answer, while shorter ones have one, after which it counts as too long.
    private static let tries = 2
    /// After how long more than what was found is tried again.
    private static let rise = Duration.seconds(30)

    /// Bytes of an inner packet that each path of the family takes, and that the tunnel carries at most.
    private(set) var least: Int
    private(set) var most: Int
    /// What goes whole while nothing was answered and nothing failed; nil for all.
    let unproven: Int?
    private let family: IPAddress.Family
    /// The longest that was answered lately.
    private(set) var proven: Int?
    /// The shortest that wasn't.
    private var refused: Int?
    private var failures = 0
    private var nextRise = Instant.distantFuture

    /// - Parameters:
    ///   - family: of the outer packet: IPv6 takes 1,280 bytes everywhere (RFC 8200 section 5), IPv4 is taken to take 1,200.
    ///   - most: what is worth asking for.
    ///   - unproven: what goes whole while nothing was answered and nothing failed; nil for all.
    init(_ family: IPAddress.Family, most: Int, unproven: Int? = nil) {
        self.family = family
        self.most = most
        self.unproven = unproven
        least = Self.least(family, most)
    }

    private static func least(_ family: IPAddress.Family, _ most: Int) -> Int {
        min(TunnelMTU.inner(underlay: family == .v6 ? 1280 : 1200, family: family), most)
    }

    /// Another length is worth asking for: what leads to the peer takes more or less now.
    mutating func setMost(_ most: Int) {
        guard most != self.most else { return }
        self.most = most
        least = Self.least(family, most)
        proven = proven.map { min($0, most) }
        // More may pass than before, and what was too long may not be asked for any more.
        refused = nil
        failures = 0
        nextRise = .distantFuture
    }

    /// The longest inner packet that may go whole; nil while nothing is known against any.
    var limit: Int? {
        // Where paths say what the device takes, another peer's may take more than all that is asked of this one.
        if let unproven { return proven ?? (refused == nil ? unproven : least) }
        guard let longest = proven ?? (refused == nil ? nil : least), longest < most else { return nil }
        return longest
    }

    /// Whether a longer one may pass than is known to.
    func isSearching(at now: Instant) -> Bool { candidate != nil || now >= nextRise }

    /// The length of the next question, in bytes of its text.
    mutating func next(at now: Instant) -> Int {
        if candidate == nil, now >= nextRise {
            refused = nil
            failures = 0
            nextRise = .distantFuture
        }
        return candidate ?? proven ?? least
    }

    /// What is tried; nil once that is settled.
    private var candidate: Int? {
        let low = proven ?? least
        guard low < most else { return proven == nil ? most : nil }
        guard let refused else { return most }
        return refused - low > Self.grain ? low + (refused - low) / 2 : nil
    }

    /// A question of that length was answered.
    mutating func passed(_ length: Int, at now: Instant) {
        guard length > (proven ?? least - 1), length <= most else {
            if length == proven { failures = 0 }
            return
        }
        proven = length
        failures = 0
        if let refused, refused <= length { self.refused = nil }
        settle(at: now)
    }

    /// A question of that length wasn't, though the path answers.
    mutating func failed(_ length: Int, at now: Instant) {
        guard length >= (proven ?? least), length <= most, refused.map({ length < $0 }) ?? true else { return }
        failures += 1
        guard failures >= Self.tries else { return }
        failures = 0
        refused = length
        // What passed before doesn't any more.
        if let proven, length <= proven { self.proven = nil }
        settle(at: now)
    }

    private mutating func settle(at now: Instant) {
        if candidate == nil, (proven ?? least) < most, nextRise == .distantFuture {
            nextRise = now.advanced(by: Self.rise)
        }
    }
}
