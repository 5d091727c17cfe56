// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Key memory")
struct KeyMemoryTests {
    private static func bytes(_ cell: UnsafeMutableRawPointer) -> [UInt8] {
        // Safe: the caller has the cell, or its pool to itself; pools never give their memory back.
        unsafe Array(UnsafeRawBufferPointer(start: cell, count: KeyPool.cellSize))
    }

    private static let zeros = [UInt8](repeating: 0, count: KeyPool.cellSize)

    @Test("cells are aligned, apart and zeroed, and numbers are never used again; a released cell is wiped at once")
    func pool() throws {
        let pool = KeyPool()
        var addresses: Set<UInt> = []
        var serials: Set<UInt64> = []
        // More than one chunk holds.
        for _ in 0..<200 {
            let (cell, serial) = unsafe try #require(pool.allocate())
            unsafe #expect(Self.bytes(cell) == Self.zeros)
            let address = UInt(bitPattern: cell)
            #expect(address % 64 == 0)
            #expect(addresses.allSatisfy { max($0, address) - min($0, address) >= KeyPool.cellSize })
            addresses.insert(address)
            #expect(serials.insert(serial).inserted)
            unsafe cell.initializeMemory(as: UInt8.self, repeating: 0xAB, count: KeyPool.cellSize)
        }
        for address in addresses {
            let cell = unsafe try #require(UnsafeMutableRawPointer(bitPattern: address))
            unsafe pool.release(cell)
            unsafe #expect(Self.bytes(cell) == Self.zeros)
        }
        let (again, serial) = unsafe try #require(pool.allocate())
        #expect(addresses.contains(UInt(bitPattern: again)))
        #expect(!serials.contains(serial))
    }

    @Test("what a cipher expands lies within its key's cell, and beside the key", arguments: [16, 32])
    func keysStayApart(length: Int) throws {
        let texts = (0..<120).map { number in (0..<length).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) } }
        let keys = try texts.map { try PacketKey($0) }
        for (key, text) in zip(keys, texts) {
            let found = key.withBytes { raw in
                (0..<raw.byteCount).map { unsafe raw.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
            }
            #expect(found == text)
        }
    }

    @Test("a key's own cell is wiped when the key goes", arguments: [16, 32])
    func keyIsWiped(length: Int) throws {
        // The cell is found again by taking free ones until it comes; other tests may have been faster.
        for attempt in 0..<100 {
            var key: PacketKey? = try PacketKey([UInt8](repeating: 0xA5, count: length))
            let cell = unsafe try #require(key?.reference.expanded)
            let raw = unsafe Self.bytes(cell)[KeyPool.expandedSize..<KeyPool.expandedSize + length]
            #expect(raw.allSatisfy { $0 == 0xA5 })
            key = nil
            let address = UInt(bitPattern: cell)
            var taken: [UInt] = []
            while taken.count < 64, taken.last != address {
                guard let (free, _) = unsafe KeyPool.shared.allocate() else { break }
                taken.append(UInt(bitPattern: free))
            }
            let found: [UInt8]? = taken.last == address ? unsafe Self.bytes(cell) : nil
            for free in taken {
                // Safe: these are the cells that were just allocated.
                guard let free = unsafe UnsafeMutableRawPointer(bitPattern: free) else { continue }
                unsafe KeyPool.shared.release(free)
            }
            guard let found else { continue }
            #expect(found == Self.zeros, "attempt \(attempt)")
            return
        }
        Issue.record("the cell never came back")
    }

    @Test("expired and replaced keys go once the lane has looked", arguments: [CipherChoice.automatic, .openSSL])
    func keysGo(cipher: CipherChoice) throws {
        var end = End(.left)
        end.cipher = cipher
        let engine = try end.engine(epoch: nil)
        var lane = try Lane(engine)
        weak var send: PacketKey?
        weak var receive: PacketKey?
        do {
            let pair = try Keys.pair(.left, epoch: 1)
            (send, receive) = (pair.transmitKey, pair.receiveKey)
            try engine.install(pair, for: .vni(End.vni), at: End.start)
        }
        lane.refresh()
        let packet = Packets.udp(from: .left)
        #expect(lane.seal(packet, as: .datagram, at: End.start).outcome == "forward")
        #expect(send != nil)
        try engine.install(Keys.pair(.left, epoch: 2), for: .vni(End.vni), at: End.start)
        // The lane's snapshot holds both, and then the grace one of them.
        #expect(send != nil)
        lane.refresh()
        #expect(send == nil)
        #expect(receive != nil)
        let end30 = End.start.advanced(by: Engine.grace)
        engine.sweep(at: end30)
        lane.refresh()
        #expect(receive != nil)
        engine.sweep(at: end30.advanced(byNanoseconds: 1))
        #expect(receive != nil)
        lane.refresh()
        #expect(receive == nil)
        // The cipher forgot the first key, not how to work.
        var opener = try Lane(try End(.right).engine(epoch: 2))
        let sealed = lane.seal(packet, as: .datagram, at: End.start)
        #expect(opener.open(sealed.bytes, as: .datagram, at: End.start).bytes == packet)
    }

    @Test("removing a network lets its keys go")
    func removal() throws {
        let engine = try End(.left).engine(epoch: nil)
        weak var send: PacketKey?
        do {
            let pair = try Keys.pair(.left, epoch: 1)
            send = pair.transmitKey
            try engine.install(pair, for: .vni(End.vni), at: End.start)
        }
        #expect(send != nil)
        try engine.remove(.vni(End.vni))
        #expect(send == nil)
    }
}
