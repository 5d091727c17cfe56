// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Weft
@testable import WeftUDP

@Suite("Traffic classes through a UDP socket", .serialized)
struct TrafficClassTests {
    /// Classes, and how many datagrams of each follow one another.
    private static let runs: [(trafficClass: UInt8, count: Int)] = [
        (0, 3), (2, 20), (3, 1), (3, 1), (0xB9, 5), (0, 2), (1, 7), (0xFF, 4),
    ]
    private static let classes = runs.flatMap { [UInt8](repeating: $0.trafficClass, count: $0.count) }

    /// Datagrams of which only the class differs.
    private static func batch(to endpoint: Endpoint, from local: IPAddress?) -> ToUnderlay {
        var batch = ToUnderlay(capacity: 64, room: 1 << 18)
        var number: UInt32 = 0
        for (trafficClass, count) in runs {
            for _ in 0..<count {
                let range = batch.reserved..<batch.reserved + 900
                var bytes = batch.arena.mutableBytes
                for offset in range { bytes.storeBytes(of: 7, toByteOffset: offset, as: UInt8.self) }
                bytes.store(number, at: range.lowerBound)
                number += 1
                _ = batch.append(range, to: endpoint, from: local, network: .vni(1), trafficClass: trafficClass)
            }
        }
        return batch
    }

    @Test(
        "each datagram arrives with its own, also where the kernel cuts and merges them, and where our address is gone",
        arguments: [true, false])
    func datagrams(offloads: Bool) throws {
        for family in [IPAddress.Family.v4, .v6] {
            let far = try Loopback(coalescing: offloads)
            guard try far.reaches(family) else { continue }
            let ours = family == .v4 ? IPAddress(v4: 0x7F00_0001) : IPAddress(v6: 0, 1)
            let gone = try #require(IPAddress(family == .v4 ? "192.0.2.77" : "2001:db8::77"))
            for local in [nil, ours, gone] {
                let classes = Self.classes
                let batch = Self.batch(to: far.endpoint(family), from: local)
                #expect(batch.runs.count == 7)
                let socket = try UDPSocket(port: 0, offloads: offloads ? .all : [])
                UDPSender(socket, wake: try WakeEvent()).send(batch) { _, count, why in
                    Issue.record("\(family) from \(String(describing: local)): \(count) \(why)")
                }
                let came = far.receive(classes.count)
                #expect(came.map { $0.bytes.span.word } == (0..<UInt32(classes.count)).map { $0 })
                #expect(came.map(\.trafficClass) == classes, "\(family) from \(String(describing: local))")
                #expect(socket.capabilities.segmentation == offloads)
            }
        }
    }

    @Test("so does a single one, and one that goes in fragments")
    func single() throws {
        for family in [IPAddress.Family.v4, .v6] {
            let far = try Loopback()
            guard try far.reaches(family) else { continue }
            // The kernel cuts what is longer than each IPv6 path takes.
            let bytes = [UInt8](repeating: 5, count: 1300)
            for role in [UDPSocket.Role.alone, .fragments] {
                let socket = try UDPSocket(port: 0, role: role)
                for trafficClass in [0, 3, 0xB8] as [UInt8] {
                    // Safe: a UInt8 has no padding.
                    let failure = unsafe socket.send(
                        bytes.span.bytes, to: far.endpoint(family), trafficClass: trafficClass)
                    #expect(failure == nil)
                    let came = far.receive(1)
                    #expect(came.map(\.trafficClass) == [trafficClass] && came.first?.bytes == bytes)
                }
            }
        }
    }

    @Test("a socket of IPv4 alone speaks of them, too")
    func v4Only() {
        let data = AncillaryData(segmentSize: nil, from: nil, trafficClass: 3, to: .v4, .v4Only)
        #expect(data.received(byteCount: data.byteCount).trafficClass == 3)
        #expect(AncillaryData(segmentSize: nil, from: nil, trafficClass: 0, to: .v6, .dualStack).byteCount == 0)
    }
}

extension Span<UInt8> {
    /// The number that a datagram begins with.
    fileprivate var word: UInt32 { (0..<4).reduce(0) { $0 << 8 | UInt32(self[$1]) } }
}
