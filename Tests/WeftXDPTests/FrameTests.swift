// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftXDP

@Suite("Frames")
struct FrameTests {
    @Test("A frame has one holder: nobody else gets it, or gets it back")
    func holders() throws {
        var pool = try FramePool(count: 4, frameSize: 2048)
        guard let frame = pool.take() else {
            Issue.record("no frame")
            return
        }
        let index = frame.index
        #expect(pool.freeCount == 3)
        #expect(pool.count(of: .hand) == 1)
        let address = pool.lend(frame, to: .underlayTransmit)
        #expect(address == UInt64(index * 2048))
        // Not what a receive ring may hand us, and not beyond the memory.
        for (address, holder) in [
            (address, FramePool.Holder.underlayReceive), (address, .overlayTransmit), (4 * 2048, .underlayTransmit),
            (.max, .underlayTransmit), (address ^ 2048, .underlayTransmit),
        ] {
            if let stranger = pool.recover(address, from: holder) {
                Issue.record("\(address) came from \(holder)")
                pool.put(stranger)
            }
        }
        // The kernel's offset within the frame doesn't matter.
        guard let back = pool.recover(address + 384, from: .underlayTransmit) else {
            Issue.record("the frame is lost")
            return
        }
        #expect(back.index == index)
        pool.put(back)
        #expect(pool.freeCount == 4)
        if let twice = pool.recover(address, from: .underlayTransmit) {
            Issue.record("a frame came back twice")
            pool.put(twice)
        }
    }

    @Test("Its bytes are its own")
    func bytes() throws {
        var pool = try FramePool(count: 3, frameSize: 4096)
        var taken: [UInt64] = []
        for mark in 1...3 {
            guard let frame = pool.take() else { continue }
            pool.withBytes(of: frame) { bytes in
                #expect(bytes.byteCount == 4096)
                for offset in 0..<4096 { bytes.storeBytes(of: UInt8(mark), toByteOffset: offset, as: UInt8.self) }
            }
            taken.append(pool.lend(frame, to: .overlayTransmit))
        }
        for (position, address) in taken.enumerated() {
            guard let frame = pool.recover(address, from: .overlayTransmit) else { continue }
            pool.withBytes(of: frame) { bytes in
                for offset in 0..<4096 {
                    #expect(unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self) == UInt8(position + 1))
                }
            }
            pool.put(frame)
        }
        #expect(pool.freeCount == 3)
    }

    @Test("The pool agrees with a naive set over a long random life")
    func reference() throws {
        var generator = SeededGenerator.fresh()
        let seed = generator.seed
        func random(_ below: Int) -> Int { Int.random(in: 0..<below, using: &generator) }
        let count = 64
        var pool = try FramePool(count: count, frameSize: 2048)
        var lent: [FramePool.Holder: Set<UInt64>] = [:]
        let others: [FramePool.Holder] = [.underlayReceive, .overlayReceive, .underlayTransmit, .overlayTransmit]
        for _ in 0..<100_000 {
            let holder = others[random(others.count)]
            switch random(8) {
            case 0...3:
                guard let frame = pool.take() else {
                    #expect(lent.values.reduce(0) { $0 + $1.count } == count, "seed \(seed)")
                    continue
                }
                let address = pool.lend(frame, to: holder)
                #expect(lent[holder, default: []].insert(address).inserted, "seed \(seed)")
            case 4...6:
                guard let address = lent[holder]?.first else { continue }
                guard let frame = pool.recover(address + UInt64(random(2048)), from: holder) else {
                    Issue.record("seed \(seed): \(address) is not with \(holder)")
                    return
                }
                lent[holder]?.remove(address)
                pool.put(frame)
            default:
                if random(50) == 0 {
                    pool.recoverAll(from: holder)
                    lent[holder] = []
                }
            }
            #expect(pool.freeCount == count - lent.values.reduce(0) { $0 + $1.count }, "seed \(seed)")
        }
        for holder in others { #expect(pool.count(of: holder) == lent[holder, default: []].count, "seed \(seed)") }
    }
}
