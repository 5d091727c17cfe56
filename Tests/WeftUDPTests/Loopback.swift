// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Weft
@testable import WeftUDP

/// A receiving socket on the loopback, and batches of numbered datagrams for it.
final class Loopback {
    let socket: UDPSocket
    private let receiver: UDPReceiver
    private let wake: WakeEvent

    init(coalescing: Bool = true) throws {
        socket = try UDPSocket(port: 0, offloads: coalescing ? .all : [.gso])
        wake = try WakeEvent()
        receiver = UDPReceiver(socket, wake: wake)
    }

    func endpoint(_ family: IPAddress.Family = .v4) -> Endpoint {
        Endpoint(family == .v4 ? IPAddress(v4: 0x7F00_0001) : IPAddress(v6: 0, 1), port: socket.port)
    }

    /// Whether the host's loopback has the family.
    func reaches(_ family: IPAddress.Family) throws -> Bool {
        let batch = Self.batch([[40]], to: endpoint(family))
        var isLost = false
        UDPSender(try UDPSocket(port: 0), wake: wake).send(batch) { _, _, _ in isLost = true }
        return !isLost && receive(1).count == 1
    }

    /// A batch of runs, each of datagrams of these sizes; every datagram begins with its number.
    static func batch(_ runs: [[Int]], to endpoint: Endpoint) -> ToUnderlay {
        batch(runs.map { ($0, endpoint) })
    }

    static func batch(_ runs: [(sizes: [Int], endpoint: Endpoint)]) -> ToUnderlay {
        var batch = ToUnderlay(capacity: 256, room: 1 << 20)
        var number: UInt32 = 0
        for (sizes, endpoint) in runs {
            // A gap, so that no run goes on with the one before.
            batch.reserved += 1
            for size in sizes {
                let range = batch.reserved..<batch.reserved + size
                var bytes = batch.arena.mutableBytes
                for offset in range { bytes.store(UInt8(truncatingIfNeeded: offset &* 13), at: offset) }
                bytes.store(number, at: range.lowerBound)
                number += 1
                _ = batch.append(range, to: endpoint, network: .vni(1))
            }
        }
        return batch
    }

    /// Receives until `count` datagrams are there, or nothing comes for a second.
    func receive(_ count: Int) -> [(bytes: [UInt8], source: Endpoint, trafficClass: UInt8)] {
        var datagrams: [(bytes: [UInt8], source: Endpoint, trafficClass: UInt8)] = []
        while datagrams.count < count {
            var batch = FromUnderlay()
            guard (try? receiver.receive(into: &batch, timeout: 1000)) != nil, !batch.buffers.isEmpty else { break }
            for index in 0..<batch.buffers.count {
                let buffer = batch.buffers[index]
                #expect(!buffer.isTruncated)
                for start in stride(from: 0, to: buffer.place.count, by: buffer.segmentSize) {
                    let size = min(buffer.segmentSize, buffer.place.count - start)
                    let offset = buffer.place.offset + start
                    datagrams.append(
                        (
                            bytes: (0..<size).map { batch.arena.bytes.load(at: offset + $0, as: UInt8.self) },
                            source: buffer.source, trafficClass: buffer.trafficClass
                        ))
                }
            }
        }
        return datagrams
    }
}

extension ToUnderlay {
    /// Each datagram of each run.
    func datagrams() -> [[UInt8]] {
        (0..<runs.count).flatMap { index in
            let run = runs[index]
            return stride(from: 0, to: run.place.count, by: run.segmentSize).map { start in
                let size = min(run.segmentSize, run.place.count - start)
                let offset = run.place.offset + start
                return (0..<size).map { arena.bytes.load(at: offset + $0, as: UInt8.self) }
            }
        }
    }
}
