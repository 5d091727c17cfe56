// SPDX-License-Identifier: Apache-2.0
import Weft

/// An Ethernet header (IEEE 802.3), where the engine doesn't make it.
enum Ethernet {
    static let headerLength = 14

    static func destination(of frame: RawSpan, at start: Int) -> MACAddress { mac(frame, start) }

    static func source(of frame: RawSpan, at start: Int) -> MACAddress { mac(frame, start + 6) }

    private static func mac(_ frame: RawSpan, _ start: Int) -> MACAddress {
        var bits: UInt64 = 0
        // Safe: the load checks the bounds, and every byte is a valid integer.
        for index in start..<start + 6 {
            bits = bits << 8 | UInt64(unsafe frame.unsafeLoad(fromByteOffset: index, as: UInt8.self))
        }
        return MACAddress(bits: bits)
    }

    /// Writes an IP packet behind a header of its own, which must both fit.
    static func write(
        to destination: MACAddress, from source: MACAddress, _ packet: RawSpan, into frame: inout MutableRawSpan,
        at start: Int
    ) {
        for (offset, address) in [(0, destination), (6, source)] {
            for index in 0..<6 {
                frame.storeBytes(
                    of: UInt8(truncatingIfNeeded: address.bits >> UInt64(40 - index * 8)),
                    toByteOffset: start + offset + index, as: UInt8.self)
            }
        }
        for index in 0..<packet.byteCount {
            // Safe: as above.
            let byte = unsafe packet.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if index == 0 {
                let type: UInt16 = byte >> 4 == 6 ? 0x86DD : 0x0800
                frame.storeBytes(of: type.bigEndian, toByteOffset: start + 12, as: UInt16.self)
            }
            frame.storeBytes(of: byte, toByteOffset: start + headerLength + index, as: UInt8.self)
        }
    }
}
