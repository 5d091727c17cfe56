// SPDX-License-Identifier: Apache-2.0

/// A list whose room is fixed when it is made, so that filling it never allocates. It has one owner, and so may move
/// between threads.
@safe
public struct FixedArray<Element: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
    private let storage: UnsafeMutablePointer<Element>
    public let capacity: Int
    public private(set) var count = 0

    public init(capacity: Int) {
        self.capacity = max(capacity, 1)
        unsafe storage = UnsafeMutablePointer<Element>.allocate(capacity: self.capacity)
    }

    deinit { unsafe storage.deallocate() }

    var pointer: UnsafePointer<Element> { unsafe UnsafePointer(storage) }

    public var isEmpty: Bool { count == 0 }
    public var isFull: Bool { count == capacity }

    /// Appends; the list must not be full.
    @inline(__always)
    public mutating func append(_ element: Element) {
        precondition(count < capacity)
        unsafe (storage + count).initialize(to: element)
        count &+= 1
    }

    /// Appends the first `amount` elements of another list, for which there must be room.
    mutating func append(contentsOf other: borrowing FixedArray, first amount: Int) {
        precondition(amount <= other.count && amount <= capacity - count)
        unsafe (storage + count).initialize(from: other.storage, count: amount)
        count &+= amount
    }

    @inline(__always)
    public subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count)
            return unsafe storage[index]
        }
        set {
            precondition(index >= 0 && index < count)
            unsafe storage[index] = newValue
        }
    }

    public mutating func removeAll() { count = 0 }
}
