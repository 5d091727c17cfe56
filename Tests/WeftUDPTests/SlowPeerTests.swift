// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Testing

@testable import Weft
@testable import WeftUDP

@Suite("Sockets whose buffers are full")
struct SlowPeerTests {
    private static func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    @Test("peers are parted first; a buffer is waited for once, and not again for a while after that was in vain")
    func answers() {
        var congestion = Congestion()
        #expect(congestion.isFull(.common(0), hasWaited: false, canPart: true, at: Self.at(0)) == .part)
        #expect(congestion.isSeparate)
        #expect(congestion.isFull(.separate(3), hasWaited: false, canPart: true, at: Self.at(1)) == .wait)
        #expect(congestion.isFull(.separate(3), hasWaited: true, canPart: true, at: Self.at(1)) == .giveUp)
        congestion.hasWaitedInVain(at: Self.at(6))
        #expect(congestion.isFull(.separate(4), hasWaited: false, canPart: true, at: Self.at(105)) == .giveUp)
        #expect(congestion.isFull(.separate(4), hasWaited: false, canPart: true, at: Self.at(106)) == .wait)
        congestion.look(at: Self.at(10_105))
        #expect(congestion.isSeparate)
        congestion.look(at: Self.at(10_106))
        #expect(!congestion.isSeparate)
        #expect(congestion.isFull(.common(0), hasWaited: false, canPart: false, at: Self.at(20_000)) == .wait)
        #expect(!congestion.isSeparate)
    }

    /// A kernel in which one network's datagrams never leave: its socket is full from some message on.
    private final class Full: Sendable {
        let calls = Atomic(0)
        private let slow: UInt16
        private let sent = Mutex<[Int32: [UInt16]]>([:])

        init(slow: UInt16) { self.slow = slow }

        /// The ports that datagrams went to, by the socket that they left from.
        var all: [Int32: [UInt16]] { sent.withLock(\.self) }

        var send: MessageBuffers.Send {
            unsafe .init { descriptor, messages, count in
                self.calls.add(1, ordering: .relaxed)
                for index in 0..<Int(count) {
                    let address = unsafe messages[index].header.msg_name.assumingMemoryBound(to: sockaddr_in6.self)
                    let port = unsafe UInt16(bigEndian: address.pointee.sin6_port)
                    let isFull = self.sent.withLock { sent in
                        // Full for whoever is behind the slow one, too.
                        if port == self.slow || sent[descriptor]?.last == self.slow {
                            sent[descriptor, default: []].append(self.slow)
                            return true
                        }
                        sent[descriptor, default: []].append(port)
                        return false
                    }
                    guard isFull else { continue }
                    if index > 0 { return Int32(index) }
                    errno = EAGAIN
                    return -1
                }
                return Int32(count)
            }
        }
    }

    @Test("a peer whose line takes nothing costs the others nothing, and nobody waits for ever")
    func oneOfMany() throws {
        let socket = try UDPSocket(port: 0, role: .opensPort)
        let separate = try (0..<8).map { _ in try UDPSocket(port: socket.port, role: .sendsBeside) }
        try socket.steer(receivers: 1)
        let full = Full(slow: 1003)
        let time = Atomic<UInt64>(0)
        let sender = UDPSender(
            socket, separate: separate, wake: try WakeEvent(), batch: 16, sendMessages: full.send,
            clock: { Instant(nanoseconds: time.add(1_000_000, ordering: .relaxed).newValue) })
        var batch = ToUnderlay(capacity: 256, room: 1 << 20)
        for number in 0..<60 {
            let peer = UInt32(number % 6)
            let range = batch.reserved + 1..<batch.reserved + 101
            let isTaken = batch.append(
                range, to: Endpoint(IPAddress(v4: 0x7F00_0001), port: UInt16(1000 + peer)), network: .number(peer))
            #expect(isTaken)
        }
        for round in 1...3 {
            var lost: [Int] = []
            sender.send(batch) { run, datagrams, failure in
                #expect(failure == .refused(EAGAIN))
                #expect(datagrams == 1)
                lost.append(run)
            }
            // Of the one peer's all, of the others' none.
            #expect(lost == Array(stride(from: 3, to: 60, by: 6)))
            let delivered = full.all.values.joined().filter { $0 != 1003 }
            #expect(delivered.count == round * 50)
            for port in [1000, 1001, 1002, 1004, 1005] as [UInt16] {
                #expect(delivered.filter { $0 == port }.count == round * 10)
            }
        }
        #expect(full.calls.load(ordering: .relaxed) < 1000)
    }

    @Test("what comes to a port goes to the sockets that receive, each flow to one", arguments: [1, 2, 5])
    func steering(receivers: Int) throws {
        let first = try UDPSocket(port: 0, role: .opensPort, offloads: [.gso])
        var all = [first]
        for _ in 1..<receivers {
            all.append(try UDPSocket(port: first.port, role: .sharesPort, offloads: [.gso]))
        }
        let senders = try (0..<4).map { _ in try UDPSocket(port: first.port, role: .sendsBeside) }
        try first.steer(receivers: receivers)
        let families = [IPAddress(v4: 0x7F00_0001), IPAddress(v6: 0, 1)]
        var flows = 0
        // All at once, so that none has the port of another.
        for stranger in try (0..<60).map({ _ in try UDPSocket(port: 0) }) {
            for address in families {
                let bytes: [UInt8] = [1, 2, 3]
                let lost = (0..<2).compactMap { _ in
                    unsafe stranger.send(bytes.span.bytes, to: Endpoint(address, port: first.port))
                }
                flows += lost.isEmpty ? 1 : 0
            }
        }
        try #require(flows >= 60)
        var total = 0
        var places: [Endpoint: Set<Int>] = [:]
        for (index, socket) in (all + senders).enumerated() {
            let receiver = UDPReceiver(socket, wake: try WakeEvent(), batch: 64)
            while true {
                var batch = FromUnderlay(capacity: 64, slotSize: 64)
                try receiver.receive(into: &batch, timeout: 0)
                guard !batch.buffers.isEmpty else { break }
                total += batch.buffers.count
                for position in 0..<batch.buffers.count {
                    places[batch.buffers[position].source, default: []].insert(index)
                }
            }
        }
        #expect(total == 2 * flows)
        #expect(places.count == flows)
        #expect(places.values.allSatisfy { $0.count == 1 })
        #expect(Set(places.values.joined()) == Set(0..<receivers))
        #expect(places.values.joined().allSatisfy { $0 < receivers })
    }
}
