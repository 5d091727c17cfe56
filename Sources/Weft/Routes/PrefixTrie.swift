// SPDX-License-Identifier: Apache-2.0

/// An immutable longest-prefix-match table over the prefixes of one family.
///
/// A multibit trie with 64-way nodes whose children and leaves are packed and found by counting bits ("Poptrie",
/// Asai and Ohara, SIGCOMM 2015): a node takes 24 bytes whatever its fan-out, a lookup one node per six bits.
final class PrefixTrie: Sendable {
    fileprivate struct Node: BitwiseCopyable {
        /// Which of the 64 slots lead to a child.
        var children: UInt64 = 0
        /// Which leaf slots begin a run of equal values.
        var runs: UInt64 = 0
        var firstChild: UInt32 = 0
        var firstLeaf: UInt32 = 0
    }

    typealias Entry = (prefix: Prefix, value: UInt32)

    static let stride = 6
    private static let slots = 64
    /// Stands for "no prefix covers this".
    fileprivate static let none = UInt32.max

    private let nodes: FixedArray<Node>
    private let leaves: FixedArray<UInt32>

    /// The table without its ownership.
    @safe
    struct View: BitwiseCopyable {
        fileprivate let nodes: BorrowedArray<Node>
        fileprivate let leaves: BorrowedArray<UInt32>
    }

    /// Valid as long as the table lives.
    @unsafe
    var view: View { unsafe View(nodes: nodes.borrowed, leaves: leaves.borrowed) }

    /// - Parameter entries: distinct prefixes of one family, each with a value below `UInt32.max`.
    convenience init(_ entries: [Entry]) {
        self.init(sorted: entries.sorted { $0.prefix < $1.prefix })
    }

    /// - Parameter entries: as above, in the order of ``Prefix``.
    init(sorted entries: [Entry]) {
        var builder = Builder(entries: entries)
        builder.nodes.append(Node())
        let hasDefault = entries.first?.prefix.isDefault == true
        builder.fill(
            0, from: hasDefault ? 1 : 0, to: entries.count, depth: 0,
            covering: hasDefault ? entries[0].value : Self.none)
        nodes = FixedArray(builder.nodes)
        leaves = FixedArray(builder.leaves)
    }

    /// The value of the longest prefix that covers `address`, which must be of the table's family.
    func lookup(_ address: IPAddress) -> UInt32? { unsafe view.lookup(address) }

    /// The six bits of an address that begin at `depth`; bits behind its end are zero.
    @inline(__always)
    fileprivate static func slot(of address: IPAddress, depth: Int) -> Int {
        let bits =
            depth < 64
            ? address.high << UInt64(depth) | address.low >> UInt64(64 - depth)
            : address.low << UInt64(depth - 64)
        return Int(truncatingIfNeeded: bits >> 58)
    }

    private struct Builder {
        let entries: [Entry]
        var nodes: [Node] = []
        var leaves: [UInt32] = []

        /// Fills one node from the prefixes below it, a range of the entries, all longer than `depth`.
        ///
        /// In their order a prefix comes before those that it covers, and what goes on in one child stands together.
        mutating func fill(_ index: Int, from first: Int, to end: Int, depth: Int, covering: UInt32) {
            var values = InlineArray<64, UInt32>(repeating: covering)
            var starts = InlineArray<64, Int>(repeating: 0)
            var ends = InlineArray<64, Int>(repeating: 0)
            for position in first..<end {
                let (prefix, value) = entries[position]
                let slot = PrefixTrie.slot(of: prefix.address, depth: depth)
                let remaining = prefix.length - depth
                if remaining <= PrefixTrie.stride {
                    let width = 1 << (PrefixTrie.stride - remaining)
                    for covered in slot..<slot + width { values[covered] = value }
                } else {
                    if ends[slot] == 0 { starts[slot] = position }
                    ends[slot] = position + 1
                }
            }
            var node = Node()
            node.firstLeaf = UInt32(leaves.count)
            node.firstChild = UInt32(nodes.count)
            var run: UInt32?
            for slot in 0..<PrefixTrie.slots {
                let bit: UInt64 = 1 << UInt64(slot)
                if ends[slot] > 0 {
                    node.children |= bit
                } else if run != values[slot] {
                    node.runs |= bit
                    leaves.append(values[slot])
                    run = values[slot]
                }
            }
            nodes[index] = node
            nodes.append(contentsOf: repeatElement(Node(), count: node.children.nonzeroBitCount))
            var child = Int(node.firstChild)
            for slot in 0..<PrefixTrie.slots where ends[slot] > 0 {
                fill(
                    child, from: starts[slot], to: ends[slot], depth: depth + PrefixTrie.stride,
                    covering: values[slot])
                child += 1
            }
        }
    }
}

extension PrefixTrie.View {
    /// Whether walks through the table would mostly wait for memory.
    var isLarge: Bool { nodes.count > 1024 }

    /// One step of a walk.
    enum Step {
        /// The next node is being fetched.
        case down(UInt32)
        /// The leaf's place, which is being fetched.
        case leaf(Int)
    }

    /// Takes one step from a node at `depth`; the first is node 0 at depth 0.
    @inline(__always)
    func step(from node: UInt32, _ address: IPAddress, depth: Int) -> Step {
        let node = nodes[Int(node)]
        let bit: UInt64 = 1 &<< UInt64(PrefixTrie.slot(of: address, depth: depth))
        let upTo = bit | (bit &- 1)
        if node.children & bit != 0 {
            let next = node.firstChild &+ UInt32((node.children & upTo).nonzeroBitCount) &- 1
            nodes.prefetch(Int(next))
            return .down(next)
        }
        let leaf = Int(node.firstLeaf) &+ (node.runs & upTo).nonzeroBitCount &- 1
        leaves.prefetch(leaf)
        return .leaf(leaf)
    }

    /// What a walk's leaf says.
    @inline(__always)
    func value(at leaf: Int) -> UInt32? {
        let value = leaves[leaf]
        return value == PrefixTrie.none ? nil : value
    }

    /// As ``PrefixTrie/lookup(_:)``.
    @inline(__always)
    func lookup(_ address: IPAddress) -> UInt32? {
        var node = nodes[0]
        var depth = 0
        while true {
            let bit: UInt64 = 1 &<< UInt64(PrefixTrie.slot(of: address, depth: depth))
            let upTo = bit | (bit &- 1)
            if node.children & bit != 0 {
                node = nodes[Int(node.firstChild) &+ (node.children & upTo).nonzeroBitCount &- 1]
                depth &+= PrefixTrie.stride
            } else {
                let value = leaves[Int(node.firstLeaf) &+ (node.runs & upTo).nonzeroBitCount &- 1]
                return value == PrefixTrie.none ? nil : value
            }
        }
    }
}
