// SPDX-License-Identifier: Apache-2.0

/// Finds the word that was meant.
enum Suggestion {
    /// The candidate that is nearest to `word`, whatever its case, if it is near enough to be a slip of the hand.
    static func closest(to word: String, among candidates: [String]) -> String? {
        let word = Array(word.lowercased().unicodeScalars)
        // The work grows with the product of the lengths, and what is far longer than any key isn't near one.
        guard (1...32).contains(word.count) else { return nil }
        let measured = candidates.map { candidate in
            (candidate, distance(word, Array(candidate.lowercased().unicodeScalars)))
        }
        guard let (candidate, distance) = measured.min(by: { $0.1 < $1.1 }),
            // Three at most also bounds what a message that repeats the word can show of a key that slipped into it.
            distance <= min(3, max(1, min(word.count, candidate.count) / 3))
        else { return nil }
        return candidate
    }

    /// How many letters have to be inserted, removed, replaced or swapped with a neighbour (optimal string alignment).
    static func distance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        var beforeLast = [Int](repeating: 0, count: right.count + 1)
        var last = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            for column in 0..<right.count {
                let replaced = last[column] + (left[row] == right[column] ? 0 : 1)
                var best = min(replaced, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }
}
