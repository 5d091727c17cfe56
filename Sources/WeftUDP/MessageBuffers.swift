// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// The kernel's message structures for one batch, wired to one another once: message i has address i and vector i.
@safe
struct MessageBuffers: ~Copyable, @unchecked Sendable {
    private let messages: UnsafeMutablePointer<weft_message>
    private let vectors: UnsafeMutablePointer<iovec>
    private let addresses: UnsafeMutablePointer<SocketAddress>
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        unsafe messages = .allocate(capacity: capacity)
        unsafe vectors = .allocate(capacity: capacity)
        unsafe addresses = .allocate(capacity: capacity)
        unsafe messages.initialize(repeating: weft_message(), count: capacity)
        unsafe vectors.initialize(repeating: iovec(), count: capacity)
        unsafe addresses.initialize(repeating: SocketAddress(), count: capacity)
        for index in 0..<capacity {
            unsafe messages[index].header.msg_name = UnsafeMutableRawPointer(addresses + index)
            unsafe messages[index].header.msg_iov = vectors + index
            unsafe messages[index].header.msg_iovlen = 1
        }
    }

    deinit {
        unsafe messages.deallocate()
        unsafe vectors.deallocate()
        unsafe addresses.deallocate()
    }

    /// Points a message at its bytes, which must stay where they are until the call that uses it.
    mutating func set(
        _ index: Int, bytes: UnsafeMutableRawPointer, count: Int, address: SocketAddress, addressLength: socklen_t
    ) {
        precondition(index < capacity)
        unsafe vectors[index] = iovec(iov_base: bytes, iov_len: count)
        unsafe addresses[index] = address
        unsafe messages[index].header.msg_namelen = addressLength
        unsafe messages[index].header.msg_flags = 0
    }

    /// One sendmmsg(2). Returns how many messages went, or -1.
    mutating func send(_ descriptor: Int32, from first: Int, count: Int) -> Int32 {
        precondition(first + count <= capacity)
        return unsafe weft_send_messages(descriptor, messages + first, UInt32(count), 0)
    }

    /// One recvmmsg(2). Returns how many messages came, or -1.
    mutating func receive(_ descriptor: Int32, count: Int) -> Int32 {
        precondition(count <= capacity)
        return unsafe weft_receive_messages(descriptor, messages, UInt32(count), Int32(MSG_DONTWAIT))
    }

    /// What a receive left in a message.
    func received(_ index: Int) -> (count: Int, source: SocketAddress, isTruncated: Bool) {
        precondition(index < capacity)
        let flags = unsafe messages[index].header.msg_flags
        return unsafe (
            Int(messages[index].length), addresses[index], flags & Int32(MSG_TRUNC) != 0
        )
    }
}
