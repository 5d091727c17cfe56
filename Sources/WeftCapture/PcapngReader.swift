// SPDX-License-Identifier: Apache-2.0

/// Reads a pcapng file (draft-ietf-opsawg-pcapng): sections, each with interfaces of its own, and frames of these.
struct PcapngReader {
    static let magic: [UInt8] = [0x0A, 0x0D, 0x0D, 0x0A]

    private struct Interface {
        let link: UInt32
        let snapLength: UInt32
        /// Units of a second that times are in, and what is added to them in seconds.
        var perSecond: UInt64 = 1_000_000
        var offset: Int64 = 0
    }

    private enum Block {
        static let section: UInt32 = 0x0A0D_0D0A
        static let interface: UInt32 = 1
        static let packet: UInt32 = 2
        static let simplePacket: UInt32 = 3
        static let enhancedPacket: UInt32 = 6
    }

    private static let damaged = CaptureFile.Failure(
        description: "it is damaged: a block that doesn't hold what it says")

    private var order = ByteOrder.little
    private var interfaces: [Interface] = []
    /// The first block's type was read to know the format.
    private var isInsideFirstBlock = true

    mutating func next(_ input: inout CaptureInput) throws(CaptureFile.Failure) -> CaptureFile.Frame? {
        while true {
            let type: UInt32
            if isInsideFirstBlock {
                isInsideFirstBlock = false
                type = Block.section
            } else {
                guard let bytes = try input.read(4) else { return nil }
                type = order.word(bytes, 0)
            }
            if type == Block.section {
                try beginSection(&input)
                continue
            }
            let body = try body(behind: 4, lengthIn: try input.need(4), &input)
            switch type {
            case Block.interface: interfaces.append(try interface(body))
            case Block.enhancedPacket, Block.packet:
                guard body.count >= Self.frameHeader else { throw Self.damaged }
                // The older one numbers interfaces by 16 bits.
                let number = type == Block.packet ? Int(order.half(body, 0)) : Int(order.word(body, 0))
                return try frame(body, of: number)
            case Block.simplePacket: return try simpleFrame(body)
            default: continue
            }
        }
    }

    /// What lies between a block's lengths.
    /// - Parameter head: what was read of it behind its length.
    private func body(
        behind head: Int, lengthIn length: [UInt8], _ input: inout CaptureInput
    ) throws(CaptureFile.Failure) -> [UInt8] {
        let total = Int(order.word(length, 0))
        guard total >= 12, total % 4 == 0, total >= head + 8 else { throw Self.damaged }
        let body = try input.need(total - head - 8)
        guard order.word(try input.need(4), 0) == UInt32(total) else { throw Self.damaged }
        return body
    }

    private mutating func beginSection(_ input: inout CaptureInput) throws(CaptureFile.Failure) {
        let length = try input.need(4)
        switch ByteOrder.big.word(try input.need(4), 0) {
        case 0x1A2B_3C4D: order = .big
        case 0x4D3C_2B1A: order = .little
        default: throw Self.damaged
        }
        let body = try body(behind: 8, lengthIn: length, &input)
        guard body.count >= 12 else { throw Self.damaged }
        guard order.half(body, 0) == 1 else {
            throw CaptureFile.Failure(
                description: "it is a pcapng file of version \(order.half(body, 0)), and 1 is known")
        }
        interfaces = []
    }

    private func interface(_ body: [UInt8]) throws(CaptureFile.Failure) -> Interface {
        guard body.count >= 8 else { throw Self.damaged }
        var interface = Interface(link: UInt32(order.half(body, 0)), snapLength: order.word(body, 4))
        var at = 8
        while body.count >= at + 4 {
            let (code, length) = (order.half(body, at), Int(order.half(body, at + 2)))
            at += 4
            guard code != 0, body.count >= at + length else { break }
            // if_tsresol and if_tsoffset.
            if code == 9, length >= 1 {
                let power = UInt32(body[at] & 0x7F)
                if body[at] & 0x80 != 0, power < 64 {
                    interface.perSecond = 1 << power
                } else if body[at] & 0x80 == 0, power < 20 {
                    interface.perSecond = (0..<power).reduce(1) { value, _ in value * 10 }
                }
            } else if code == 14, length == 8 {
                let (first, second) = (UInt64(order.word(body, at)), UInt64(order.word(body, at + 4)))
                interface.offset = Int64(
                    bitPattern: order == .big ? first << 32 | second : second << 32 | first)
            }
            at += (length + 3) & ~3
        }
        return interface
    }

    /// What stands before a frame in its block, in bytes.
    private static let frameHeader = 20

    /// The frame of an enhanced packet block, or of the packet block that was before it.
    private func frame(_ body: [UInt8], of number: Int) throws(CaptureFile.Failure) -> CaptureFile.Frame {
        let (kept, length) = (Int(order.word(body, 12)), order.word(body, 16))
        guard number < interfaces.count, body.count - Self.frameHeader >= kept else { throw Self.damaged }
        let interface = interfaces[number]
        let units = UInt64(order.word(body, 4)) << 32 | UInt64(order.word(body, 8))
        let (seconds, rest) = units.quotientAndRemainder(dividingBy: interface.perSecond)
        let micro = rest.multipliedFullWidth(by: 1_000_000)
        let part = interface.perSecond.dividingFullWidth(micro).quotient
        let whole = Int64(truncatingIfNeeded: seconds) &+ interface.offset
        return CaptureFile.Frame(
            link: interface.link, time: whole &* 1_000_000 &+ Int64(truncatingIfNeeded: part),
            bytes: Array(body[Self.frameHeader..<Self.frameHeader + kept]), isWhole: UInt32(kept) >= length)
    }

    /// Without a time, of the section's first interface.
    private func simpleFrame(_ body: [UInt8]) throws(CaptureFile.Failure) -> CaptureFile.Frame {
        guard let interface = interfaces.first, body.count >= 4 else { throw Self.damaged }
        let length = order.word(body, 0)
        let limit = interface.snapLength == 0 ? length : min(length, interface.snapLength)
        let kept = min(Int(limit), body.count - 4)
        return CaptureFile.Frame(
            link: interface.link, time: 0, bytes: Array(body[4..<4 + kept]), isWhole: UInt32(kept) >= length)
    }
}
