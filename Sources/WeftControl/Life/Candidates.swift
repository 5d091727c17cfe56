// SPDX-License-Identifier: Apache-2.0
import Weft

/// Where a peer with a name may be, in the order in which the places are called: one after the other, each for a moment, and then
/// from the beginning (RFC 8305, of which the calls' handshakes leave the turns).
struct Candidates {
    /// What the name stands for, in the order of preference.
    private(set) var places: [Endpoint] = []
    /// Where the peer was last.
    private var last: Endpoint?
    /// What is left of this round.
    private var left: [Endpoint] = []

    /// Takes what the name stands for now; whether it stands for anything else than before.
    mutating func replace(with new: [Endpoint]) -> Bool {
        defer { places = new }
        guard Set(new) != Set(places) else { return false }
        guard let last, !new.contains(last) else {
            left = Self.round(new, first: last)
            return true
        }
        // The name is newer than what we saw: the peer may have gone there.
        left = new + [last]
        return true
    }

    /// The peer is there: it is called there first from now on.
    mutating func found(at place: Endpoint) {
        last = place
        left = []
    }

    /// Begins from the first again.
    mutating func begin() { left = [] }

    /// The place to call now; nil where none is known.
    mutating func next() -> Endpoint? {
        if left.isEmpty { left = Self.round(places, first: last) }
        return left.isEmpty ? nil : left.removeFirst()
    }

    /// Whether the one that was called last was the last of its round.
    var isRoundOver: Bool { left.isEmpty }

    private static func round(_ places: [Endpoint], first: Endpoint?) -> [Endpoint] {
        guard let first else { return places }
        return [first] + places.filter { $0 != first }
    }
}
