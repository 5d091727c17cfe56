// SPDX-License-Identifier: Apache-2.0

/// What leaves in the order in which it came; to add and to take cost the same however much waits.
package struct FIFO<Element> {
    private var added: [Element] = []
    /// The next one last.
    private var leaving: [Element] = []

    package init() {}

    package var count: Int { added.count + leaving.count }
    package var isEmpty: Bool { added.isEmpty && leaving.isEmpty }
    /// The one that leaves next.
    package var first: Element? { leaving.last ?? added.first }

    package mutating func append(_ element: Element) { added.append(element) }

    package mutating func popFirst() -> Element? {
        if leaving.isEmpty, !added.isEmpty {
            leaving = added.reversed()
            added.removeAll(keepingCapacity: true)
        }
        return leaving.popLast()
    }

    /// Takes out whatever is to go; it costs what there is.
    package mutating func removeAll(where isToGo: (Element) -> Bool) {
        added.removeAll(where: isToGo)
        leaving.removeAll(where: isToGo)
    }
}
