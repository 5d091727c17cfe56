// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// What goes with a datagram through a socket beside its bytes (cmsg(3)): the size of the datagrams in a buffer, our address, and the
/// traffic class.
///
/// It is made and read as the kernel lays it out on 64-bit machines with the least significant byte first, which are all that Weft
/// runs on.
struct AncillaryData: BitwiseCopyable {
    /// Room for all three messages.
    private static let capacity = 11
    private static let headerWords = 2

    private var words = InlineArray<11, UInt64>(repeating: 0)
    private var used = 0

    init() {}

    /// - Parameters:
    ///   - segmentSize: cuts the bytes into datagrams of this size (UDP_SEGMENT); nil for one datagram.
    ///   - local: the address of ours that they leave from (ip(7), ipv6(7)); nil for the kernel's choice.
    ///   - trafficClass: of their IP headers.
    ///   - target: the family of the address that they go to.
    init(
        segmentSize: Int?, from local: IPAddress?, trafficClass: UInt8 = 0, to target: IPAddress.Family = .v4,
        _ family: SocketFamily
    ) {
        if let segmentSize {
            append(
                Int32(IPPROTO_UDP), Int32(UDP_SEGMENT), byteCount: MemoryLayout<UInt16>.size,
                (UInt64(UInt16(truncatingIfNeeded: segmentSize)), 0, 0))
        }
        if trafficClass != 0 {
            let (level, type) =
                target == .v4 ? (Int32(IPPROTO_IP), Int32(IP_TOS)) : (Int32(IPPROTO_IPV6), Int32(IPV6_TCLASS))
            append(level, type, byteCount: MemoryLayout<Int32>.size, (UInt64(trafficClass), 0, 0))
        }
        guard let local else { return }
        switch family {
        case .v4Only:
            // struct in_pktinfo: the interface, the address to leave from, and one that is only read.
            append(
                Int32(IPPROTO_IP), Int32(IP_PKTINFO), byteCount: 12,
                (UInt64(local.v4Bits.bigEndian) << 32, 0, 0))
        case .dualStack:
            // struct in6_pktinfo: the address, and the interface.
            let (high, low) = SocketAddress.bits(of: local)
            append(Int32(IPPROTO_IPV6), Int32(IPV6_PKTINFO), byteCount: 20, (high.bigEndian, low.bigEndian, 0))
        }
    }

    /// Bytes in use.
    var byteCount: Int { used * MemoryLayout<UInt64>.size }
    static let longest = capacity * MemoryLayout<UInt64>.size

    private mutating func append(_ level: Int32, _ type: Int32, byteCount: Int, _ data: (UInt64, UInt64, UInt64)) {
        words[used] = UInt64(Self.headerWords * MemoryLayout<UInt64>.size + byteCount)
        words[used + 1] = UInt64(UInt32(bitPattern: level)) | UInt64(UInt32(bitPattern: type)) << 32
        used += Self.headerWords
        for index in 0..<(byteCount + 7) / 8 {
            words[used] = index == 0 ? data.0 : index == 1 ? data.1 : data.2
            used += 1
        }
    }

    /// Puts any bits into it, for tests.
    mutating func overwrite(_ index: Int, with word: UInt64) { words[index] = word }

    /// What the kernel wrote into it.
    struct Received {
        /// The size of the datagrams that were merged (UDP_GRO); nil for one datagram.
        var segmentSize: Int?
        /// To which of our addresses they came.
        var local: IPAddress?
        /// The traffic class of their IP headers.
        var trafficClass: UInt8 = 0
    }

    /// Reads what a receive left.
    /// - Parameter byteCount: how much of it the kernel says it used.
    func received(byteCount: Int) -> Received {
        var received = Received()
        let end = min(byteCount / MemoryLayout<UInt64>.size, Self.capacity)
        var start = 0
        while start + Self.headerWords < end {
            let length = Int(clamping: words[start])
            let level = Int32(truncatingIfNeeded: words[start + 1])
            let type = Int32(truncatingIfNeeded: words[start + 1] >> 32)
            let count = (min(length, Self.longest) + 7) / 8
            guard count > Self.headerWords, start + count <= end else { break }
            let data = start + Self.headerWords
            switch (level, type) {
            case (Int32(IPPROTO_UDP), Int32(UDP_GRO)):
                let size = Int(UInt32(truncatingIfNeeded: words[data]))
                if size > 0 { received.segmentSize = size }
            case (Int32(IPPROTO_IP), Int32(IP_PKTINFO)):
                received.local = IPAddress(v4: UInt32(truncatingIfNeeded: words[data] >> 32).byteSwapped)
            // A byte, and an integer whose lowest byte comes first.
            case (Int32(IPPROTO_IP), Int32(IP_TOS)), (Int32(IPPROTO_IPV6), Int32(IPV6_TCLASS)):
                received.trafficClass = UInt8(truncatingIfNeeded: words[data])
            case (Int32(IPPROTO_IPV6), Int32(IPV6_PKTINFO)) where count >= Self.headerWords + 2:
                received.local = SocketAddress.address(
                    UInt64(bigEndian: words[data]), UInt64(bigEndian: words[data + 1]))
            default: break
            }
            start += count
        }
        return received
    }
}
