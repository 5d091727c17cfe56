// SPDX-License-Identifier: Apache-2.0

/// What is told in the order in which it happened; to add and to take cost the same however much waits.
struct EventQueue<Element> {
    private var added: [Element] = []
    /// The next one last.
    private var leaving: [Element] = []

    mutating func append(_ element: Element) { added.append(element) }

    mutating func popFirst() -> Element? {
        if leaving.isEmpty, !added.isEmpty {
            leaving = added.reversed()
            added.removeAll(keepingCapacity: true)
        }
        return leaving.popLast()
    }
}
