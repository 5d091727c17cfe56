// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Testing

@testable import Weft
@testable import WeftUDP

@Suite("Datagrams over a UDP socket", .serialized)
struct SegmentationTests {
    /// Full runs, runs that end shorter, single datagrams.
    private static let runs = [
        [Int](repeating: 1200, count: 40), [700], [Int](repeating: 900, count: 20) + [33], [4], [1448, 1448, 5],
        [Int](repeating: 40, count: 64), [1300, 1300, 1300, 1299],
        [Int](repeating: 1001, count: 13), [64],
    ]

    /// A kernel that refuses to segment from one send on, as a device or a route does.
    private final class Refusing: Sendable {
        private let from: Int
        private let code: Int32
        private let segmented = Atomic(0)
        let calls = Atomic(0)

        init(from: Int, code: Int32) {
            self.from = from
            self.code = code
        }

        var send: MessageBuffers.Send {
            unsafe .init { [self] descriptor, messages, count in
                calls.add(1, ordering: .relaxed)
                for index in 0..<Int(count) where unsafe messages[index].header.msg_controllen > 0 {
                    guard segmented.add(1, ordering: .relaxed).newValue >= from else { continue }
                    if index > 0 { return unsafe weft_send_messages(descriptor, messages, UInt32(index), 0) }
                    errno = code
                    return -1
                }
                return unsafe weft_send_messages(descriptor, messages, count, 0)
            }
        }
    }

    @Test("all datagrams arrive whole and in order, whichever offloads are on")
    func offloads() throws {
        for segmentation in [true, false] {
            for coalescing in [true, false] {
                for family in [IPAddress.Family.v4, .v6] {
                    let far = try Loopback(coalescing: coalescing)
                    guard try far.reaches(family) else { continue }
                    let socket = try UDPSocket(
                        port: 0, offloads: segmentation ? .all : [.gro])
                    #expect(far.socket.capabilities.coalescing == coalescing)
                    #expect(socket.capabilities.segmentation == segmentation)
                    let batch = Loopback.batch(Self.runs, to: far.endpoint(family))
                    #expect(batch.runs.count == Self.runs.count)
                    let sender = try UDPSender(socket, wake: WakeEvent())
                    sender.send(batch) { Issue.record("run \($0): \($1) datagrams, \($2)") }
                    let got = far.receive(Self.runs.flatMap(\.self).count)
                    #expect(got.map(\.bytes) == batch.datagrams())
                    #expect(got.allSatisfy { $0.source.port == socket.port && $0.source.address.family == family })
                }
            }
        }
    }

    @Test("when segmentation is refused on the way, everything still arrives, in order, and it stays off")
    func refusedOnTheWay() throws {
        for code in [EIO, EINVAL, EOPNOTSUPP] {
            for from in 1...6 {
                let far = try Loopback()
                let socket = try UDPSocket(port: 0)
                let refusing = Refusing(from: from, code: code)
                let sender = UDPSender(socket, wake: try WakeEvent(), batch: 8, sendMessages: refusing.send)
                let batch = Loopback.batch(Self.runs, to: far.endpoint())
                sender.send(batch) { Issue.record("run \($0): \($1) datagrams, \($2)") }
                #expect(!socket.capabilities.segmentation)
                #expect(far.receive(Self.runs.flatMap(\.self).count).map(\.bytes) == batch.datagrams())
                // From here on nothing asks for it.
                let before = refusing.calls.load(ordering: .relaxed)
                let next = Loopback.batch([[500, 500, 500]], to: far.endpoint())
                sender.send(next) { Issue.record("run \($0): \($1) datagrams, \($2)") }
                #expect(refusing.calls.load(ordering: .relaxed) == before + 1)
                #expect(far.receive(3).map(\.bytes) == next.datagrams())
            }
        }
    }

    @Test("datagrams that can't be sent one by one either are no reason to stop segmenting")
    func blameless() throws {
        let far = try Loopback()
        let socket = try UDPSocket(port: 0)
        let sender = try UDPSender(socket, wake: WakeEvent())
        // Port 0 is invalid, in one piece and one by one.
        let nowhere = Endpoint(IPAddress(v4: 0x7F00_0001), port: 0)
        let batch = Loopback.batch([
            ([100, 100], far.endpoint()), ([Int](repeating: 50, count: 10), nowhere), ([60, 60, 60], far.endpoint()),
        ])
        var lost: [Int: Int] = [:]
        sender.send(batch) { run, datagrams, failure in
            lost[run, default: 0] += datagrams
            #expect(failure == .refused(EINVAL))
        }
        #expect(lost == [1: 10])
        #expect(socket.capabilities.segmentation)
        let all = batch.datagrams()
        #expect(far.receive(5).map(\.bytes) == Array(all[..<2] + all[12...]))
    }

    @Test("a path that became narrower is told, datagram by datagram, and segmentation stays on")
    func tooLong() throws {
        let far = try Loopback()
        let socket = try UDPSocket(port: 0)
        // An older kernel: EINVAL for a run whose datagrams are too long, EMSGSIZE for each of them.
        let sender = unsafe UDPSender(
            socket, wake: try WakeEvent(), batch: 64,
            sendMessages: .init { descriptor, messages, count in
                for index in 0..<Int(count) {
                    let isRun = unsafe messages[index].header.msg_controllen > 0
                    let length = unsafe messages[index].header.msg_iov[0].iov_len
                    guard isRun ? length > 5_000 : length > 1_000 else { continue }
                    if index > 0 { return unsafe weft_send_messages(descriptor, messages, UInt32(index), 0) }
                    errno = isRun ? EINVAL : EMSGSIZE
                    return -1
                }
                return unsafe weft_send_messages(descriptor, messages, count, 0)
            })
        let batch = Loopback.batch(
            [[100, 100], [Int](repeating: 1200, count: 9) + [200], [300]], to: far.endpoint())
        var lost: [Int: Int] = [:]
        sender.send(batch) { run, datagrams, failure in
            lost[run, default: 0] += datagrams
            #expect(failure == .tooLong)
        }
        #expect(lost == [1: 9])
        #expect(socket.capabilities.segmentation)
        #expect(far.receive(4).map(\.bytes.count) == [100, 100, 200, 300])
    }

    @Test("a datagram beyond UDP's largest is too long, and the others go")
    func beyondUDP() throws {
        let far = try Loopback()
        let sender = try UDPSender(UDPSocket(port: 0), wake: WakeEvent())
        var lost: [Int] = []
        sender.send(Loopback.batch([[10], [65_530], [20]], to: far.endpoint())) { run, datagrams, failure in
            lost += [run, datagrams]
            #expect(failure == .tooLong)
        }
        #expect(lost == [1, 1])
        #expect(far.receive(2).map(\.bytes.count) == [10, 20])
    }

    @Test("a receiver wakes at once for closing, and closing twice is harmless")
    func close() throws {
        let socket = try UDPSocket(port: 0)
        let wake = try WakeEvent()
        wake.signal()
        var batch = FromUnderlay()
        let clock = ContinuousClock()
        let start = clock.now
        try UDPReceiver(socket, wake: wake).receive(into: &batch, timeout: 10_000)
        #expect(batch.buffers.isEmpty && clock.now - start < .seconds(5))
        socket.close()
        socket.close()
    }
}
