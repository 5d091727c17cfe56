// SPDX-License-Identifier: Apache-2.0

/// The cipher alone, for benchmarks that set the engine's cost beside it: a new nonce for each packet, 32 bytes of
/// associated data, in place.
@_spi(Benchmarks)
@safe
public final class BareCipher {
    private var cipher: PacketCipher
    private let key: PacketKey
    private var counter: UInt64 = 0

    public init(_ choice: CipherChoice) throws(EngineError) {
        cipher = try PacketCipher.make(choice)
        key = try PacketKey([UInt8](repeating: 7, count: 16))
    }

    /// Nanoseconds to seal one packet of `size` bytes.
    public func seal(_ size: Int, packets: Int) -> Double { measure(size, packets, sealing: true) }

    /// Nanoseconds to try to open one.
    public func open(_ size: Int, packets: Int) -> Double { measure(size, packets, sealing: false) }

    private func measure(_ size: Int, _ packets: Int, sealing: Bool) -> Double {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size + Geneve.overhead, alignment: 64)
        defer { unsafe memory.deallocate() }
        let text = unsafe memory + Geneve.headerLength
        let start = SystemCall.now()
        for _ in 0..<packets {
            counter &+= 1
            unsafe memory.storeBytes(of: counter.bigEndian, toByteOffset: 24, as: UInt64.self)
            // Safe: header, text and tag have just the room that was allocated.
            let job = unsafe PacketCipher.Job(
                key: key.reference, nonce: memory + 20, associatedData: memory,
                associatedCount: Geneve.headerLength, input: text, output: text, count: size)
            if sealing {
                _ = unsafe cipher.seal(job, tag: text + size)
            } else {
                _ = unsafe cipher.open(job, tag: text + size)
            }
        }
        return Double(SystemCall.now().nanoseconds - start.nanoseconds) / Double(packets)
    }
}
