// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft
@testable import WeftUDP

@Suite("The address of ours that a socket works with", .serialized)
struct LocalAddressTests {
    private static let first = IPAddress(v4: 0x7F00_0001)
    private static let second = IPAddress(v4: 0x7F00_0002)

    /// What arrives, with the addresses that it came from and to.
    private func received(_ socket: UDPSocket, _ count: Int) throws -> [FromUnderlay.Buffer] {
        let receiver = try UDPReceiver(socket, wake: WakeEvent())
        var buffers: [FromUnderlay.Buffer] = []
        while buffers.reduce(0, { $0 + $1.count }) < count {
            var batch = FromUnderlay()
            try receiver.receive(into: &batch, timeout: 2000)
            guard !batch.buffers.isEmpty else { break }
            for index in 0..<batch.buffers.count { buffers.append(batch.buffers[index]) }
        }
        return buffers
    }

    private func send(
        _ bytes: [UInt8], by socket: UDPSocket, to target: Endpoint, from local: IPAddress? = nil
    ) -> SendFailure? {
        // Safe: a UInt8 has no padding.
        unsafe socket.send(bytes.span.bytes, to: target, from: local)
    }

    private func batch(_ sizes: [Int], to endpoint: Endpoint, from local: IPAddress?) -> ToUnderlay {
        var batch = ToUnderlay(room: 1 << 17)
        for size in sizes {
            let start = batch.reserved
            _ = batch.append(start..<start + size, to: endpoint, from: local, network: .vni(1))
        }
        return batch
    }

    @Test("a datagram says to which address it came, and an answer leaves from there", arguments: [true, false])
    func answers(offloads: Bool) throws {
        let server = try UDPSocket(port: 0, offloads: offloads ? .all : [])
        let client = try UDPSocket(port: 0, offloads: offloads ? .all : [])
        let clientEnd = Endpoint(Self.first, port: client.port)
        for called in [Self.first, Self.second, IPAddress(v6: 0, 1)] {
            let target = Endpoint(called, port: server.port)
            if send([1, 2, 3], by: client, to: target) != nil, called.family == .v6 { continue }
            let question = try #require(try received(server, 1).first)
            #expect(question.local == called)
            guard called.family == .v4 else { continue }
            // One run that may be cut by the kernel, and a single datagram.
            let answer = batch([600, 600, 600, 90], to: clientEnd, from: question.local)
            #expect(answer.runs.count == 1)
            try UDPSender(server, wake: WakeEvent()).send(answer) { _, count, why in Issue.record("\(count): \(why)") }
            #expect(send([9], by: server, to: clientEnd, from: question.local) == nil)
            let came = try received(client, 5)
            #expect(came.reduce(0) { $0 + $1.count } == 5)
            #expect(came.allSatisfy { $0.source == target && $0.local == Self.first })
        }
    }

    @Test("what should leave from an address that isn't ours any more leaves from another", arguments: [true, false])
    func lost(offloads: Bool) throws {
        let server = try UDPSocket(port: 0, offloads: offloads ? .all : [])
        let client = try UDPSocket(port: 0, offloads: offloads ? .all : [])
        let gone = try #require(IPAddress("192.0.2.77"))
        let clientEnd = Endpoint(Self.first, port: client.port)
        var answer = batch([600, 600, 90], to: clientEnd, from: gone)
        answer.reserved += 1
        let start = answer.reserved
        _ = answer.append(start..<start + 700, to: clientEnd, from: gone, network: .vni(2))
        #expect(answer.runs.count == 2)
        try UDPSender(server, wake: WakeEvent()).send(answer) { _, count, why in Issue.record("\(count): \(why)") }
        #expect(send([9], by: server, to: clientEnd, from: gone) == nil)
        let came = try received(client, 5)
        #expect(came.reduce(0) { $0 + $1.count } == 5)
        #expect(came.allSatisfy { $0.source == Endpoint(Self.first, port: server.port) })
        #expect(server.capabilities.segmentation == offloads)
    }

    @Test("runs to one endpoint from two addresses are two")
    func runs() {
        let far = Endpoint(Self.first, port: 9)
        var batch = ToUnderlay(room: 1 << 12)
        _ = batch.append(0..<100, to: far, from: Self.first, network: .vni(1))
        _ = batch.append(100..<200, to: far, from: Self.first, network: .vni(1))
        _ = batch.append(200..<300, to: far, from: Self.second, network: .vni(1))
        _ = batch.append(300..<400, to: far, network: .vni(1))
        #expect((0..<batch.runs.count).map { batch.runs[$0].count } == [2, 1, 1])
    }

    @Test("a socket at one address hears nothing of the others")
    func listen() throws {
        let bound = try UDPSocket(port: 0, address: Self.second)
        let client = try UDPSocket(port: 0)
        _ = send([1], by: client, to: Endpoint(Self.first, port: bound.port))
        #expect(send([2, 3], by: client, to: Endpoint(Self.second, port: bound.port)) == nil)
        let came = try received(bound, 1)
        #expect(came.map(\.place.count) == [2] && came.map(\.local) == [Self.second])
        #expect {
            try UDPSocket(port: 0, address: IPAddress("192.0.2.77"))
        } throws: { "\($0)".contains("192.0.2.77 isn't one of this host's") }
    }

    @Test(
        "a socket becomes another one, at another port, and those that share the old one get nothing of the fragments' socket"
    )
    func become() throws {
        let socket = try UDPSocket(port: 0, role: .opensPort)
        let fragments = try UDPSocket(port: socket.port, role: .fragments)
        try socket.steer(receivers: 1)
        let client = try UDPSocket(port: 0)
        for number in UInt8(0)..<40 {
            #expect(send([number, 1], by: client, to: Endpoint(Self.first, port: socket.port)) == nil)
        }
        #expect(try received(socket, 40).reduce(0) { $0 + $1.count } == 40)
        // Longer than the loopback takes.
        let long = [UInt8](repeating: 7, count: 1300)
        #expect(send(long, by: fragments, to: Endpoint(Self.first, port: client.port)) == nil)
        #expect(try received(client, 1).first?.source == Endpoint(Self.first, port: socket.port))
        let old = socket.port
        try socket.become(try UDPSocket(port: 0, role: .opensPort))
        #expect(socket.port != old)
        #expect(send([1], by: client, to: Endpoint(Self.first, port: socket.port)) == nil)
        #expect(try received(socket, 1).count == 1)
    }

    @Test("any bytes of the kernel's are read without a trap")
    func anyBytes() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<20_000 {
            var data = AncillaryData(
                segmentSize: Bool.random(using: &generator) ? 1400 : nil, from: Self.first, trafficClass: 3, .dualStack)
            for _ in 0..<Int.random(in: 0...4, using: &generator) {
                let value: UInt64 =
                    Bool.random(using: &generator)
                    ? .random(in: 0...64, using: &generator) : .random(in: 0...UInt64.max, using: &generator)
                data.overwrite(Int.random(in: 0..<11, using: &generator), with: value)
            }
            _ = data.received(byteCount: .random(in: 0...100, using: &generator))
        }
    }

    @Test("what is written is what is read, for sockets of both kinds")
    func roundTrip() {
        for local in [Self.second, IPAddress(v6: 0x2001_0DB8_0000_0000, 7)] {
            let data = AncillaryData(segmentSize: nil, from: local, .dualStack)
            #expect(data.received(byteCount: data.byteCount).local == local)
            #expect(data.received(byteCount: data.byteCount - 8).local == nil)
            for trafficClass in [0b11, 0xB8] as [UInt8] {
                let marked = AncillaryData(
                    segmentSize: 1200, from: local, trafficClass: trafficClass, to: local.family, .dualStack)
                #expect(marked.byteCount == AncillaryData.longest)
                let received = marked.received(byteCount: marked.byteCount)
                #expect(received.trafficClass == trafficClass && received.local == local)
            }
        }
        #expect(AncillaryData(segmentSize: 1200, from: Self.second, .v4Only).byteCount == 56)
        #expect(AncillaryData(segmentSize: 1200, from: Self.second, .dualStack).byteCount == 64)
    }
}
