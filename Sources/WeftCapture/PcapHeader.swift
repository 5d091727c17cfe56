// SPDX-License-Identifier: Apache-2.0

/// The header of a pcap file (draft-ietf-opsawg-pcap), and how to read on behind it.
struct PcapHeader {
    private let order: ByteOrder
    private let hasNanoseconds: Bool
    let link: UInt32

    /// - Parameter magic: the file's first four bytes; the others are read.
    /// - Returns: nil where these are of no such file.
    init?(_ magic: [UInt8], _ input: inout CaptureInput) throws(CaptureFile.Failure) {
        switch ByteOrder.big.word(magic, 0) {
        case 0xA1B2_C3D4: (order, hasNanoseconds) = (.big, false)
        case 0xA1B2_3C4D: (order, hasNanoseconds) = (.big, true)
        case 0xD4C3_B2A1: (order, hasNanoseconds) = (.little, false)
        case 0x4D3C_B2A1: (order, hasNanoseconds) = (.little, true)
        default: return nil
        }
        let rest = try input.need(20)
        guard order.half(rest, 0) == 2 else {
            throw CaptureFile.Failure(
                description: "it is a pcap file of version \(order.half(rest, 0)), and 2 is known")
        }
        // The upper bits tell of a frame check sequence.
        link = order.word(rest, 16) & 0xFFFF
    }

    func next(_ input: inout CaptureInput) throws(CaptureFile.Failure) -> CaptureFile.Frame? {
        guard let header = try input.read(16) else { return nil }
        let (kept, length) = (order.word(header, 8), order.word(header, 12))
        let part = Int64(order.word(header, 4))
        return CaptureFile.Frame(
            link: link, time: Int64(order.word(header, 0)) * 1_000_000 + (hasNanoseconds ? part / 1000 : part),
            bytes: try input.need(Int(kept)), isWhole: kept >= length)
    }
}
