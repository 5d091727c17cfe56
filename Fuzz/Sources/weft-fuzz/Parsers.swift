// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// The text parsers of addresses: what one takes, it also writes in a form that it takes for the same.
enum Addresses {
    static func run(_ input: RawSpan) {
        let text = String(decoding: input.array(), as: UTF8.self)
        if let address = IPAddress(text) {
            check(IPAddress(address.description) == address, text)
            check(Prefix(text) == Prefix(host: address), text)
        }
        if let prefix = Prefix(text) {
            check(Prefix(prefix.description) == prefix, text)
            check((0...prefix.family.bitWidth).contains(prefix.length), text)
            check(prefix.contains(prefix.address) && prefix.contains(prefix), text)
        }
        if let interface = InterfaceAddress(text) {
            check(InterfaceAddress(interface.description) == interface, text)
            check(interface.prefix.contains(interface.address), text)
        }
        if let endpoint = Endpoint(text) {
            check(Endpoint(endpoint.description) == endpoint && endpoint.port > 0, text)
        }
        if let mac = MACAddress(text) {
            check(MACAddress(mac.description) == mac, text)
            check(mac.description.utf8.count == 17, text)
        }
    }

    static func seeds() -> [[UInt8]] {
        [
            "10.77.0.1", "10.77.0.1/24", "0.0.0.0/0", "192.0.2.2:6081", "255.255.255.255:65535", "::", "fd77::1/64",
            "::/0",
            "2001:db8::ffff:192.0.2.1", "[2001:db8::2]:6081", "1:2:3:4:5:6:7:8/128", "02:00:5e:10:00:01",
            "02005e100001",
            "", "/", ":", "10.0.0.1\0", "٣.0.0.1",
        ].map { Array($0.utf8) }
    }
}

/// ICMP messages about packets that are too big: the first two bytes are the MTU, the rest the packet.
enum TooBig {
    static func run(_ input: RawSpan) {
        let mtu = Int(input.control(0)) << 8 | Int(input.control(1))
        let packet = input.array(from: 2)
        var output = [UInt8](repeating: 0xC5, count: PacketTooBig.maximumLength + 8)
        let written = output.withMutableBytes { unsafe PacketTooBig.write(for: packet.span.bytes, mtu: mtu, into: &$0) }
        guard let written else {
            check(output.allSatisfy { $0 == 0xC5 }, "wrote without a message")
            return
        }
        check(isWholePacket(packet), "about no whole packet")
        check(written <= PacketTooBig.maximumLength, "\(written) bytes")
        check(output[written...].allSatisfy { $0 == 0xC5 }, "wrote behind the message")
        let message = Array(output[..<written])
        check(isWholePacket(message), "no whole packet: \(message)")
        let isV4 = message[0] >> 4 == 4
        let quote = isV4 ? 28 : 48
        check(message[quote...] == packet[..<(written - quote)], "another quote")
        if isV4 {
            check(message.sum(0..<20) == 0xFFFF && message.sum(20..<written) == 0xFFFF, "wrong checksum")
            check(Array(message[12..<20]) == Array(packet[16..<20] + packet[12..<16]), "another address")
        } else {
            let pseudo = message.sum(8..<40, from: UInt32(written - 40 + 58))
            check(message.sum(40..<written, from: pseudo) == 0xFFFF, "wrong checksum")
            check(Array(message[8..<40]) == Array(packet[24..<40] + packet[8..<24]), "another address")
        }
        // No message about the message.
        let again = output.withMutableBytes { unsafe PacketTooBig.write(for: message.span.bytes, mtu: mtu, into: &$0) }
        check(again == nil, "a message about a message")
    }

    static func seeds() -> [[UInt8]] {
        var seeds: [[UInt8]] = []
        for family in IPAddress.Family.allCases {
            for proto in [1, 17, 58, 0, 44, 60] as [UInt8] {
                for count in [48, 100, 1400] { seeds.append([5, 0] + Ends.packet(family, count: count, proto: proto)) }
            }
        }
        return seeds
    }
}
