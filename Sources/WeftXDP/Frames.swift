// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft

/// The right to one frame of a UMEM: whoever has it, and nobody else, may read and write the frame's bytes.
///
/// It can't be copied, and is given up only to the pool or to the kernel, by the pool's methods. One that is dropped
/// instead would leak the frame, which a debug build traps.
struct Frame: ~Copyable, Sendable {
    /// Counted from 0 within its pool.
    let index: Int

    fileprivate init(index: Int) { self.index = index }

    fileprivate consuming func giveUp() -> Int {
        let index = index
        discard self
        return index
    }

    deinit { assertionFailure("frame \(index) was dropped instead of given back") }
}

/// The frames of one queue: their memory, those that are free, and who has the others.
///
/// One thread's. The memory is registered as a UMEM with each socket of the queue, so that a frame that one device
/// received is sent by the other through its descriptor alone.
@safe
struct FramePool: ~Copyable, @unchecked Sendable {
    /// Who has a frame.
    enum Holder: UInt8, CaseIterable, Sendable {
        case pool
        /// A ``Frame`` exists.
        case hand
        /// The fill ring or the receive ring of a side's socket, or the kernel in between.
        case underlayReceive, overlayReceive
        /// The transmit ring or the completion ring, or the kernel in between.
        case underlayTransmit, overlayTransmit
    }

    /// Bytes that we ask the kernel to leave free in front of what it receives, beside its own 256.
    static let headroom = 128
    /// XDP_PACKET_HEADROOM, which the kernel leaves in front of every received packet.
    static let kernelHeadroom = 256
    /// What is left of the smallest frame for a packet and the tag behind it.
    static func longestPacket(frameSize: Int) -> Int { frameSize - kernelHeadroom - headroom - Geneve.tagLength }

    /// Bytes in a frame: 2,048, or 4,096 for long packets.
    let frameSize: Int
    let count: Int
    let memory: UnsafeMutableRawPointer
    private let length: Int
    /// A stack: what was used last is used next, while it is in the cache. Indices in both are below `count`, since only
    /// frames' own are used.
    private let free: UnsafeMutablePointer<UInt32>
    private(set) var freeCount: Int
    private let holders: UnsafeMutablePointer<Holder>

    /// - Throws: when the memory can't be had.
    init(count: Int, frameSize: Int) throws(TransportError) {
        precondition(frameSize == 2048 || frameSize == 4096)
        length = count * frameSize
        let mapped = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)
        guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
            throw TransportError("get \(count * frameSize) bytes for packets", code: errno)
        }
        unsafe memory = mapped
        self.count = count
        self.frameSize = frameSize
        unsafe free = .allocate(capacity: count)
        unsafe holders = .allocate(capacity: count)
        unsafe holders.initialize(repeating: .pool, count: count)
        freeCount = count
        for index in 0..<count { unsafe (free + index).initialize(to: UInt32(count - 1 - index)) }
    }

    deinit {
        unsafe munmap(memory, length)
        unsafe free.deallocate()
        unsafe holders.deallocate()
    }

    var byteCount: Int { length }

    /// How many frames a holder has.
    func count(of holder: Holder) -> Int {
        (0..<count).reduce(0) { $0 + (unsafe holders[$1] == holder ? 1 : 0) }
    }

    /// A free frame, or nil when all are in use.
    @inline(__always)
    mutating func take() -> Frame? {
        guard freeCount > 0 else { return nil }
        freeCount &-= 1
        let index = unsafe Int(free[freeCount])
        unsafe holders[index] = .hand
        return Frame(index: index)
    }

    @inline(__always)
    mutating func put(_ frame: consuming Frame) {
        free(frame.giveUp())
    }

    @inline(__always)
    private mutating func free(_ index: Int) {
        // As many as there are frames fit, and no frame is freed twice: its right is used up.
        precondition(freeCount < count)
        unsafe holders[index] = .pool
        unsafe free[freeCount] = UInt32(truncatingIfNeeded: index)
        freeCount &+= 1
    }

    /// Gives a frame to the kernel. Returns where it begins in the UMEM, which is for the ring of that holder.
    @inline(__always)
    mutating func lend(_ frame: consuming Frame, to holder: Holder) -> UInt64 {
        let index = frame.giveUp()
        unsafe holders[index] = holder
        return UInt64(index * frameSize)
    }

    /// Takes over the frame that a descriptor from the kernel lies in; nil unless it was lent to that holder.
    @inline(__always)
    mutating func recover(_ address: UInt64, from holder: Holder) -> Frame? {
        let index = Int(clamping: address / UInt64(frameSize))
        guard index < count, unsafe holders[index] == holder else { return nil }
        unsafe holders[index] = .hand
        return Frame(index: index)
    }

    /// Takes back all that a holder has. Only for a socket that is closed: the kernel must not touch them any more.
    mutating func recoverAll(from holder: Holder) {
        for index in 0..<count where unsafe holders[index] == holder { free(index) }
    }

    /// Works on a frame's bytes.
    @inline(__always)
    mutating func withBytes<Result>(
        of frame: borrowing Frame, _ body: (inout MutableRawSpan) -> Result
    ) -> Result {
        // Safe: the index is below the count, as only `take` and `recover` make frames; the frame's owner is us alone.
        var bytes = unsafe MutableRawSpan(_unsafeStart: memory + frame.index * frameSize, byteCount: frameSize)
        return body(&bytes)
    }
}
