// SPDX-License-Identifier: Apache-2.0
import CWeftLinux

/// Elements that somebody else owns, as plain bits: copying it counts no references, which is what the packet path needs.
///
/// Whoever makes one keeps the owner alive as long as it is used; a ``Lane`` does so with its snapshot.
@safe
struct BorrowedArray<Element: BitwiseCopyable>: BitwiseCopyable {
    private let base: UnsafePointer<Element>
    let count: Int

    fileprivate init(_ base: UnsafePointer<Element>, count: Int) {
        unsafe self.base = base
        self.count = count
    }

    @inline(__always)
    subscript(index: Int) -> Element {
        precondition(index >= 0 && index < count)
        return unsafe base[index]
    }

    var indices: Range<Int> { 0..<count }

    /// Fetches an element's cache lines, to be read soon; nothing for an index that isn't there.
    @inline(__always)
    func prefetch(_ index: Int) {
        guard index >= 0, index < count else { return }
        unsafe Cache.prefetch(base + index, count: MemoryLayout<Element>.size)
    }
}

extension FixedArray {
    /// An array's elements, to be frozen behind a `BorrowedArray`.
    init(_ elements: some Collection<Element>) {
        self.init(capacity: elements.count)
        for element in elements { append(element) }
    }

    /// The elements without their ownership: valid as long as this array lives and is not changed.
    @unsafe
    var borrowed: BorrowedArray<Element> { unsafe BorrowedArray(pointer, count: count) }
}
