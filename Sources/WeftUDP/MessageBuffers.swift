// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// The kernel's message structures for one batch, wired to one another once: message i has address, vector and control
/// message i.
@safe
struct MessageBuffers: ~Copyable, @unchecked Sendable {
    private let messages: UnsafeMutablePointer<weft_message>
    private let vectors: UnsafeMutablePointer<iovec>
    private let addresses: UnsafeMutablePointer<SocketAddress>
    private let controls: UnsafeMutablePointer<AncillaryData>
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        unsafe messages = .allocate(capacity: capacity)
        unsafe vectors = .allocate(capacity: capacity)
        unsafe addresses = .allocate(capacity: capacity)
        unsafe controls = .allocate(capacity: capacity)
        unsafe messages.initialize(repeating: weft_message(), count: capacity)
        unsafe vectors.initialize(repeating: iovec(), count: capacity)
        unsafe addresses.initialize(repeating: SocketAddress(), count: capacity)
        unsafe controls.initialize(repeating: AncillaryData(), count: capacity)
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
        unsafe controls.deallocate()
    }

    /// Points a message at bytes to send, which must stay where they are until the call that uses it.
    mutating func set(
        _ index: Int, bytes: UnsafeRawPointer, count: Int, address: SocketAddress, addressLength: socklen_t,
        _ control: AncillaryData
    ) {
        precondition(index < capacity)
        // Safe: sendmmsg only reads through the vector.
        unsafe vectors[index] = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes), iov_len: count)
        unsafe addresses[index] = address
        unsafe messages[index].header.msg_namelen = addressLength
        set(index, control)
    }

    /// Sets what goes beside a message's bytes, which stay what they are.
    mutating func set(_ index: Int, _ control: AncillaryData) {
        precondition(index < capacity)
        unsafe controls[index] = control
        // Safe: the kernel's part is at the beginning of it.
        unsafe messages[index].header.msg_control =
            control.byteCount == 0 ? nil : UnsafeMutableRawPointer(controls + index)
        unsafe messages[index].header.msg_controllen = control.byteCount
    }

    /// Points a message at room for what comes.
    mutating func prepare(_ index: Int, room: UnsafeMutableRawPointer, count: Int) {
        precondition(index < capacity)
        unsafe vectors[index] = iovec(iov_base: room, iov_len: count)
        unsafe messages[index].header.msg_namelen = socklen_t(MemoryLayout<sockaddr_in6>.size)
        unsafe messages[index].header.msg_control = UnsafeMutableRawPointer(controls + index)
        unsafe messages[index].header.msg_controllen = AncillaryData.longest
        unsafe messages[index].header.msg_flags = 0
    }

    /// sendmmsg(2), or what stands in for it in a test.
    @safe
    struct Send: Sendable {
        /// Takes a descriptor, messages and their number. Returns how many messages went, or -1 with `errno` set.
        let call: @Sendable (Int32, UnsafeMutablePointer<weft_message>, UInt32) -> Int32
    }

    /// One call of `send` for some messages.
    mutating func send(_ descriptor: Int32, from first: Int, count: Int, by send: Send) -> Int32 {
        precondition(first >= 0 && count >= 0 && first + count <= capacity)
        return unsafe send.call(descriptor, messages + first, UInt32(count))
    }

    /// One recvmmsg(2) that does not wait. Returns how many messages came, or -1.
    mutating func receive(_ descriptor: Int32, count: Int) -> Int32 {
        precondition(count <= capacity)
        return unsafe weft_receive_messages(descriptor, messages, UInt32(count), Int32(MSG_DONTWAIT))
    }

    struct Received {
        let count: Int
        let source: SocketAddress
        let isTruncated: Bool
        let control: AncillaryData.Received
    }

    /// What a receive left in a message.
    func received(_ index: Int) -> Received {
        precondition(index < capacity)
        let header = unsafe messages[index].header
        return unsafe Received(
            count: Int(messages[index].length), source: addresses[index],
            isTruncated: header.msg_flags & Int32(MSG_TRUNC) != 0,
            control: controls[index].received(byteCount: header.msg_controllen))
    }
}
