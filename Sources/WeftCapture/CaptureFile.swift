// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// A capture file, pcap or pcapng, that is read frame by frame, from any number of interfaces.
public struct CaptureFile: ~Copyable {
    /// Why a capture can't be read.
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

    /// A frame as it stands in a file.
    struct Frame {
        /// By libpcap's numbers.
        let link: UInt32
        /// Microseconds since 1970.
        let time: Int64
        let bytes: [UInt8]
        let isWhole: Bool
    }

    private enum Format {
        case pcap(PcapHeader)
        case pcapng(PcapngReader)
    }

    private var input: CaptureInput
    private var format: Format
    private var number = 0

    /// - Parameter path: `-` for standard input.
    public init(path: String) throws(Failure) {
        var input = try CaptureInput(path: path)
        format = try Self.format(of: &input)
        self.input = input
    }

    private static func format(of input: inout CaptureInput) throws(Failure) -> Format {
        guard let magic = try input.read(4) else { throw Failure(description: "it is empty") }
        if magic == PcapngReader.magic { return .pcapng(PcapngReader()) }
        guard let header = try PcapHeader(magic, &input) else {
            throw Failure(description: "it is neither a pcap nor a pcapng file")
        }
        guard LinkType(rawValue: header.link) != nil else {
            throw Failure(
                description:
                    "its link type is \(header.link), which is neither Ethernet, nor Linux cooked, nor plain IP")
        }
        return .pcap(header)
    }

    /// The next frame; nil behind the last.
    /// - Throws: where the file is damaged.
    public mutating func next() throws(Failure) -> Entry? {
        let frame: Frame?
        switch format {
        case .pcap(let header): frame = try header.next(&input)
        case .pcapng(var reader):
            frame = try reader.next(&input)
            format = .pcapng(reader)
        }
        guard let frame else { return nil }
        number += 1
        // One of several interfaces may be of another kind, in which nobody looks for UDP.
        let content = LinkType(rawValue: frame.link).map { link in
            UDPDatagram.find(in: frame.bytes, link, isWhole: frame.isWhole)
        }
        return Entry(number: number, time: frame.time, content: content ?? .other)
    }
}
