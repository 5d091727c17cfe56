// SPDX-License-Identifier: Apache-2.0
import CWeftPcap

/// A capture file, pcap or pcapng, that is read frame by frame.
@safe
public struct CaptureFile: ~Copyable {
    private let handle: OpaquePointer
    private let link: LinkType

    /// Why a capture can't be read, in libpcap's words.
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// A frame's place in the capture, and the datagram in it.
    public struct Entry: Hashable, Sendable {
        /// Counted from 1, as other programs do.
        public let number: Int
        /// Microseconds since 1970, as the capture says.
        public let time: Int64
        public let content: UDPDatagram.Result
    }

    private var number = 0

    /// - Parameter path: `-` for standard input.
    public init(path: String) throws(Failure) {
        var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
        guard let handle = unsafe pcap_open_offline(path, &message) else {
            throw Failure(description: Self.text(message))
        }
        guard let link = LinkType(rawValue: unsafe pcap_datalink(handle)) else {
            let number = unsafe pcap_datalink(handle)
            unsafe pcap_close(handle)
            throw Failure(
                description: "its link type is \(number), which is neither Ethernet, nor Linux cooked, nor plain IP")
        }
        unsafe self.handle = handle
        self.link = link
    }

    deinit { unsafe pcap_close(handle) }

    /// The next frame; nil behind the last.
    /// - Throws: where the file is damaged.
    public mutating func next() throws(Failure) -> Entry? {
        var header: UnsafeMutablePointer<pcap_pkthdr>?
        var data: UnsafePointer<UInt8>?
        switch unsafe pcap_next_ex(handle, &header, &data) {
        case 1:
            guard let header = unsafe header?.pointee, let data = unsafe data else { return nil }
            number += 1
            // Safe: the library lends that many bytes until the next call, and they are copied here.
            let frame = unsafe Array(UnsafeBufferPointer(start: data, count: Int(header.caplen)))
            return Entry(
                number: number, time: Int64(header.ts.tv_sec) &* 1_000_000 &+ Int64(header.ts.tv_usec),
                content: UDPDatagram.find(in: frame, link, isWhole: header.caplen >= header.len))
        case -2: return nil
        default: throw Failure(description: unsafe String(cString: pcap_geterr(handle)))
        }
    }

    private static func text(_ message: [CChar]) -> String {
        String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// What stands before the IP header, by libpcap's numbers.
enum LinkType: Int32 {
    /// A family in the host's order (BSD loopback).
    case null = 0
    case ethernet = 1
    case raw = 12
    case loop = 108
    case linuxCooked = 113
    case ipv4 = 228
    case ipv6 = 229
    case linuxCooked2 = 276
}
