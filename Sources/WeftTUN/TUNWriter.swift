// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// Why a superpacket was not written. Nothing was, then.
public enum SuperpacketError: Error, Hashable, Sendable {
    case noHeaders
    case emptyFragment
    case unequalFragments
    case tooLong
    case tooManyFragments
    case refused(Int32)
}

/// A writing end of a TUN device: superpackets by one thread at a time, plain packets by any.
public final class TUNWriter: OverlaySender {
    /// Fragments that one write may have.
    public static let fragmentLimit = 128
    private static let largestPacket = 65_535
    /// How long a full device is waited for: milliseconds.
    private static let patience: Int32 = 100

    private let device: TUNDevice
    private let wake: WakeEvent
    private let vectors: Mutex<Vectors>

    public init(_ device: TUNDevice, wake: WakeEvent) {
        self.device = device
        self.wake = wake
        vectors = Mutex(Vectors(capacity: Self.fragmentLimit + 2))
    }

    public func send(
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena, failed: (Int, SendFailure) -> Void
    ) {
        vectors.withLock { vectors in
            for index in 0..<packets.groups.count {
                let group = packets.groups[index]
                if let failure = write(group, of: packets, in: arena, through: &vectors) { failed(index, failure) }
            }
        }
    }

    public func send(_ packet: RawSpan) -> SendFailure? {
        vectors.withLock { vectors in
            vectors.begin(VirtioHeader(), hasHeader: device.capabilities.header)
            vectors.append(packet)
            return write(&vectors)
        }
    }

    private func write(
        _ group: ToOverlay.Group, of packets: borrowing ToOverlay, in arena: borrowing PacketArena,
        through vectors: inout Vectors
    ) -> SendFailure? {
        let bytes = arena.bytes
        let first = packets.packets[group.first]
        let header = VirtioHeader(
            group.offload, headerLength: group.headerLength, isV4: bytes.isV4(at: first.place.offset))
        vectors.begin(header, hasHeader: device.capabilities.header)
        var next: Int? = group.first
        while let index = next {
            let packet = packets.packets[index]
            vectors.append(bytes.extracting(packet.place.range))
            next = packet.next
        }
        return write(&vectors)
    }

    /// Writes a superpacket: headers that speak of the whole and whose checksum covers the pseudo-header, and payloads
    /// of equal size but the last. No fragments is nothing to do; one goes as a plain packet.
    ///
    /// - Parameters:
    ///   - headers: IP and transport headers.
    ///   - fragments: where the payloads lie in `arena`.
    public func writeSuperpacket(
        headers: RawSpan, fragments: [PacketRange], in arena: RawSpan, offload: Offload
    ) throws(SuperpacketError) {
        guard let size = fragments.first?.count else { return }
        guard headers.byteCount > 0 else { throw .noHeaders }
        guard fragments.count <= Self.fragmentLimit else { throw .tooManyFragments }
        guard fragments.allSatisfy({ $0.count > 0 }) else { throw .emptyFragment }
        guard fragments.dropLast().allSatisfy({ $0.count == size }), fragments.last.map({ $0.count <= size }) ?? true
        else { throw .unequalFragments }
        let total = fragments.reduce(headers.byteCount) { $0 + $1.count }
        guard total <= Self.largestPacket else { throw .tooLong }
        var plain = offload
        if fragments.count == 1 { plain.kind = .none }
        let header = VirtioHeader(plain, headerLength: headers.byteCount, isV4: headers.isV4(at: 0))
        let failure = vectors.withLock { vectors in
            vectors.begin(header, hasHeader: device.capabilities.header)
            vectors.append(headers)
            for fragment in fragments { vectors.append(arena.extracting(fragment.range)) }
            return write(&vectors)
        }
        switch failure {
        case nil: return
        case .tooLong: throw .tooLong
        case .refused(let code): throw .refused(code)
        }
    }

    private func write(_ vectors: inout Vectors) -> SendFailure? {
        while true {
            // A device takes a packet whole or not at all.
            if vectors.write(to: device.raw) >= 0 { return nil }
            let code = errno
            if code == EINTR { continue }
            if code == EAGAIN, (try? wake.wait(for: device.raw, events: POLLOUT, timeout: Self.patience)) == .ready {
                continue
            }
            return .refused(code)
        }
    }
}

/// The vector of one write: a header, and the packet's pieces where they lie.
@safe
private struct Vectors: ~Copyable, @unchecked Sendable {
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
            unsafe vectors[count] = iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
        }
        count += 1
    }

    func write(to descriptor: Int32) -> Int { unsafe writev(descriptor, vectors, Int32(count)) }
}

extension RawSpan {
    /// Whether an IPv4 packet begins at `offset`.
    fileprivate func isV4(at offset: Int) -> Bool {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) >> 4 == 4
    }
}
