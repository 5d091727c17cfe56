// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// The vector of one write: a header, and the packet's pieces where they lie.
@safe
struct WriteVectors: ~Copyable, @unchecked Sendable {
    private let vectors: UnsafeMutablePointer<iovec>
    private let header: UnsafeMutablePointer<VirtioHeader>
    private let capacity: Int
    private var count = 0

    init(capacity: Int) {
        self.capacity = capacity
        unsafe vectors = .allocate(capacity: capacity)
        unsafe header = .allocate(capacity: 1)
        unsafe header.initialize(to: VirtioHeader())
    }

    deinit {
        unsafe vectors.deallocate()
        unsafe header.deallocate()
    }

    mutating func begin(_ header: VirtioHeader, hasHeader: Bool) {
        unsafe self.header.pointee = header
        unsafe vectors[0] = iovec(iov_base: self.header, iov_len: hasHeader ? VirtioHeader.length : 0)
        count = 1
    }

    /// The bytes must stay until the write is over.
    mutating func append(_ bytes: RawSpan) {
        precondition(count < capacity)
        unsafe bytes.withUnsafeBytes {
            // Safe: writev only reads through the vector.
            unsafe vectors[count] = iovec(
                iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
        }
        count += 1
    }

    /// writev(2), or what stands in for it in a test.
    @safe
    struct Write: Sendable {
        /// Takes a descriptor, vectors and their number. Returns how many bytes went, or -1 with `errno` set.
        let call: @Sendable (Int32, UnsafePointer<iovec>, Int32) -> Int
    }

    func write(to descriptor: Int32, by write: Write) -> Int {
        unsafe write.call(descriptor, vectors, Int32(count))
    }
}
