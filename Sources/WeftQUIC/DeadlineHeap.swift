// SPDX-License-Identifier: Apache-2.0
import Weft

/// Deadlines, the next one first: to change one costs the logarithm of how many there are.
struct DeadlineHeap<Key: Hashable> {
    private var entries: [(deadline: Instant, key: Key)] = []
    private var places: [Key: Int] = [:]

    /// The next deadline; nil if there is none.
    var first: Instant? { entries.first?.deadline }

    /// Sets when a key is due, in place of what was set before.
    mutating func set(_ deadline: Instant, for key: Key) {
        guard let place = places[key] else {
            entries.append((deadline, key))
            places[key] = entries.count - 1
            return rise(from: entries.count - 1)
        }
        guard entries[place].deadline != deadline else { return }
        entries[place].deadline = deadline
        rise(from: place)
        sink(from: places[key] ?? place)
    }

    mutating func remove(_ key: Key) {
        guard let place = places.removeValue(forKey: key), let last = entries.popLast(), place < entries.count else {
            return
        }
        put(last, at: place)
        rise(from: place)
        sink(from: places[last.key] ?? place)
    }

    /// Takes out all that are due.
    mutating func takeDue(at now: Instant) -> [Key] {
        var due: [Key] = []
        while let next = entries.first, next.deadline <= now {
            due.append(next.key)
            remove(next.key)
        }
        return due
    }

    private mutating func rise(from start: Int) {
        let entry = entries[start]
        var place = start
        while place > 0, entry.deadline < entries[(place - 1) / 2].deadline {
            put(entries[(place - 1) / 2], at: place)
            place = (place - 1) / 2
        }
        if place != start { put(entry, at: place) }
    }

    private mutating func sink(from start: Int) {
        let entry = entries[start]
        var place = start
        while let child = sooner(2 * place + 1, 2 * place + 2), entries[child].deadline < entry.deadline {
            put(entries[child], at: place)
            place = child
        }
        if place != start { put(entry, at: place) }
    }

    /// Which of two places is due first, as far as they exist.
    private func sooner(_ one: Int, _ other: Int) -> Int? {
        guard other < entries.count else { return one < entries.count ? one : nil }
        return entries[other].deadline < entries[one].deadline ? other : one
    }

    private mutating func put(_ entry: (deadline: Instant, key: Key), at place: Int) {
        entries[place] = entry
        places[entry.key] = place
    }
}
