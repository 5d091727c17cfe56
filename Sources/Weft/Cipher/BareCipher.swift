// SPDX-License-Identifier: Apache-2.0

/// The cipher alone, for benchmarks that set the engine's cost beside it: a new nonce for each packet, 32 bytes of
/// associated data, in place.
@_spi(Benchmarks)
@safe
public final class BareCipher {
    private var cipher: PacketCipher
    /// Holds what `references` show: looking at a key so counts nothing.
    private let keys: [PacketKey]
    private let references: [PacketKey.Reference]
    private let memory: UnsafeMutableRawPointer
    private var counter: UInt64 = 0

    /// The largest packet that it takes.
    public static let largest = 9_216

    /// - Parameter keys: how many; at least 1.
    public init(_ choice: CipherChoice, keys count: Int = 1) throws(EngineError) {
        cipher = try PacketCipher.make(choice)
        var keys: [PacketKey] = []
        for number in 0..<max(count, 1) {
            keys.append(try PacketKey((0..<16).map { UInt8(truncatingIfNeeded: number >> ($0 % 4 * 8) &+ $0) }))
        }
        self.keys = keys
        unsafe references = unsafe keys.map { unsafe $0.reference }
        unsafe memory = .allocate(byteCount: Self.largest + Geneve.overhead, alignment: 64)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.largest + Geneve.overhead)
    }

    deinit { unsafe memory.deallocate() }

    /// Nanoseconds to seal packets of `size` bytes, one for each number of a key in `order`.
    public func seal(_ size: Int, keys order: ArraySlice<Int>) -> Double { measure(size, order, sealing: true) }

    /// Nanoseconds to try to open them.
    public func open(_ size: Int, keys order: ArraySlice<Int>) -> Double { measure(size, order, sealing: false) }

    @inline(__always)
    private func measure(_ size: Int, _ order: ArraySlice<Int>, sealing: Bool) -> Double {
        precondition((0...Self.largest).contains(size))
        let text = unsafe memory + Geneve.headerLength
        let start = SystemCall.now()
        for number in order {
            counter &+= 1
            unsafe memory.storeBytes(of: counter.bigEndian, toByteOffset: 24, as: UInt64.self)
            // Safe: there is room for header, text and tag of the largest packet.
            let job = unsafe PacketCipher.Job(
                key: references[number], nonce: memory + 20, associatedData: memory,
                associatedCount: Geneve.headerLength, input: text, output: text, count: size)
            if sealing {
                _ = unsafe cipher.seal(job, tag: text + size)
            } else {
                _ = unsafe cipher.open(job, tag: text + size)
            }
        }
        return Double(SystemCall.now().nanoseconds - start.nanoseconds)
    }
}
