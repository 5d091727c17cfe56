// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One datagram of the tunnel as it was seen on the underlay.
struct SealedDatagram: Hashable {
    /// What must never occur twice: who sealed it, and the nonce's SPI and counter.
    struct Nonce: Hashable {
        let source: [UInt8]
        let spi: UInt32
        let counter: UInt64
    }

    let nonce: Nonce
    /// The UDP payload, as far as it was captured.
    let payload: [UInt8]
}

/// A running capture of all that passes a device.
struct Capture {
    private let host: Host
    private let process: ChildProcess
    private let file: String

    init(on host: Host, device: String = "underlay", bytesPerFrame: Int = 65535) async throws {
        self.host = host
        let file = "\(host.folder)/\(UUID().uuidString).pcap"
        self.file = file
        let process = try host.start([
            "sh", "-c",
            """
            echo $$ >\(file).pid
            exec tcpdump -Z root -n -i \(device) -s \(bytesPerFrame) -B 16384 -U --immediate-mode -w \(file)
            """,
        ])
        self.process = process
        try await eventually("tcpdump on \(host.name)") {
            if process.hasEnded { throw TestFailure("\(process.output)") }
            return process.output.standardError.contains("listening on")
        }
    }

    /// Ends it and gives the frames seen.
    func end() async throws -> [[UInt8]] {
        // A frame needs a moment from the device to tcpdump.
        try await Task.sleep(for: .milliseconds(100))
        try await host.shell("kill -INT $(cat \(file).pid)")
        let output = try await process.wait()
        guard output.standardError.contains("\n0 packets dropped by kernel") else {
            throw TestFailure("the capture is not whole: \(output)")
        }
        return try PacketCapture(Data(contentsOf: URL(fileURLWithPath: file))).frames
    }
}

/// The frames of a capture file.
struct PacketCapture {
    private(set) var frames: [[UInt8]] = []

    init(_ data: Data) throws {
        let bytes = [UInt8](data)
        func word(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) } }
        guard bytes.count >= 24, word(0) == 0xA1B2_C3D4, word(20) == 1 else {
            throw TestFailure("expected a capture of Ethernet frames, little-endian, with microseconds")
        }
        var offset = 24
        while offset + 16 <= bytes.count {
            let length = word(offset + 8)
            guard offset + 16 + length <= bytes.count else { throw TestFailure("the capture is cut off") }
            frames.append(Array(bytes[offset + 16..<offset + 16 + length]))
            offset += 16 + length
        }
    }
}

extension SealedDatagram {
    /// Nil unless the frame holds a Geneve datagram with a nonce where ours have it.
    init?(frame: [UInt8], port: Int = 6081) {
        func number(_ offset: Int, _ count: Int) -> UInt64 {
            (0..<count).reduce(0) { $0 << 8 | UInt64(frame[offset + $1]) }
        }
        guard frame.count >= 14 + 20 + 8 else { return nil }
        let source: Range<Int>
        let udp: Int
        switch number(12, 2) {
        case 0x0800 where frame[23] == 17:
            source = 26..<30
            udp = 14 + Int(frame[14] & 0xF) * 4
        case 0x86DD where frame[20] == 17:
            source = 22..<38
            udp = 54
        default:
            return nil
        }
        guard frame.count >= udp + 8 + 32, number(udp + 2, 2) == port else { return nil }
        let geneve = udp + 8
        nonce = Nonce(
            source: Array(frame[source]), spi: UInt32(number(geneve + 20, 4)), counter: number(geneve + 24, 8))
        // Behind the datagram there may be padding.
        let end = min(frame.count, udp + Int(number(udp + 4, 2)))
        payload = Array(frame[geneve..<end])
    }
}
