// SPDX-License-Identifier: Apache-2.0
import AllocationCounter
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft

/// Whether allocations can be counted: not under a sanitizer, which has an allocator of its own.
private let canCount = weft_allocations() >= 0

@Suite("Allocations", .enabled(if: canCount, "a sanitizer has its own allocator"))
struct AllocationTests {
    static let packets = 100_000

    /// How many blocks this thread asks for while it does `work`.
    private static func count(_ work: () -> Void) -> Int {
        let before = weft_allocations()
        work()
        return weft_allocations() - before
    }

    @Test("the counter counts")
    func counterCounts() {
        var arrays: [[UInt8]] = []
        let made = Self.count { for size in 1...100 { arrays.append([UInt8](repeating: 1, count: size)) } }
        #expect(made >= 100)
        var sum = 0
        let read = Self.count { for index in 0..<100 { sum += arrays[index].count } }
        #expect(read == 0)
        #expect(sum == 5050)
    }

    @Test("100,000 packets through the batch transforms allocate nothing", arguments: CipherTests.choices)
    func batches(choice: CipherChoice) throws {
        var ends = (left: End(.left), right: End(.right))
        (ends.left.cipher, ends.right.cipher) = (choice, choice)
        (ends.left.keepAlive, ends.right.rateLimit) = (.seconds(1), 1 << 40)
        let (left, right) = (try ends.left.engine(), try ends.right.engine())
        var sender = try Lane(left)
        var receiver = try Lane(right)
        var fromOverlay = FromOverlay()
        var toUnderlay = ToUnderlay(capacity: 65)
        var fromUnderlay = FromUnderlay(capacity: 65)
        var toOverlay = ToOverlay(capacity: 65)
        for index in 0..<64 {
            fromOverlay.append(Packets.udp(from: .left, index % 2 == 0 ? .v4 : .v6, count: 60 + index))
        }
        let source = Endpoint(End.Side.left.underlay(.v4), port: 6081)
        var now = End.start
        func round() {
            sender.refresh()
            receiver.refresh()
            now = now.advanced(byNanoseconds: 10_000_000)
            toUnderlay.removeAll()
            fromUnderlay.removeAll()
            toOverlay.removeAll()
            sender.keepAlives(into: &toUnderlay, at: now)
            sender.encapsulate(&fromOverlay, into: &toUnderlay, at: now)
            for index in 0..<toUnderlay.runs.count {
                let run = toUnderlay.runs[index]
                let to = PacketRange(offset: index * fromUnderlay.slotSize, count: run.place.count)
                var bytes = fromUnderlay.arena.mutableBytes
                bytes.copy(toUnderlay.arena.bytes.extracting(run.place.range), to: to.offset)
                fromUnderlay.buffers.append(.init(place: to, segmentSize: run.segmentSize, source: source))
            }
            receiver.decapsulate(&fromUnderlay, into: &toOverlay, at: now)
        }
        // The first round makes what is made once.
        round()
        let rounds = Self.packets / 64 + 1
        let made = Self.count { for _ in 0..<rounds { round() } }
        #expect(made == 0)
        #expect(right.totals().toOverlay == UInt64((rounds + 1) * 64))
        #expect(right.totals().rxOutOfBand > 10)
        #expect(right.totals().drops == [:])
    }

    @Test("100,000 packets through the single transforms allocate nothing", arguments: CipherTests.choices)
    func singles(choice: CipherChoice) throws {
        for shape in Shape.all where shape.inner == .v4 {
            var ends = (left: shape.end(.left), right: shape.end(.right))
            (ends.left.cipher, ends.right.cipher) = (choice, choice)
            (ends.left.hashesSourcePort, ends.right.checksUnderlaySource) = (true, true)
            let (left, right) = (try ends.left.engine(), try ends.right.engine())
            var sender = try Lane(left)
            var receiver = try Lane(right)
            let packet = Packets.udp(from: .left, count: 100)
            let input = shape.layer2 ? Packets.frame(packet) : packet
            let source = End.Side.left.underlay(shape.outer)
            var wire = [UInt8](repeating: 0, count: 512)
            var opened = [UInt8](repeating: 0, count: 512)
            var passed = 0
            func across() {
                let sealed = wire.withMutableBytes {
                    unsafe sender.encapsulate(input.span.bytes, into: &$0, as: shape.framing, at: End.start)
                }
                guard case .forward(let range) = sealed else { return }
                let outcome = opened.withMutableBytes {
                    unsafe receiver.decapsulate(
                        wire.span.bytes.extracting(range), from: source, into: &$0, as: shape.framing, at: End.start)
                }
                if case .forward = outcome { passed += 1 }
            }
            func inPlace() {
                let front = 128
                let outcome = wire.withMutableBytes { bytes -> Lane.Outcome in
                    unsafe bytes.copy(input.span.bytes, to: front)
                    let sealed = sender.encapsulate(
                        inPlace: &bytes, packet: front..<front + input.count, as: shape.framing, at: End.start)
                    guard case .forward(let range) = sealed else { return sealed }
                    return receiver.decapsulate(
                        inPlace: &bytes, received: range, from: source, as: shape.framing, at: End.start)
                }
                if case .forward = outcome { passed += 1 }
            }
            across()
            inPlace()
            let rounds = Self.packets / 16
            let made = Self.count {
                for _ in 0..<rounds {
                    across()
                    inPlace()
                }
            }
            #expect(made == 0, "\(shape.testDescription)")
            #expect(passed == (rounds + 1) * 2, "\(shape.testDescription)")
        }
    }

    @Test(
        "packets that are dropped allocate nothing either",
        arguments: DropReason.allCases.filter { $0 != .offloadMalformed })
    func drops(reason: DropReason) throws {
        weft_forget_throw_handler()
        guard let scenario = try DropScenarios.scenario(for: reason) else { return }
        var lane = try Lane(scenario.engine)
        var output = [UInt8](repeating: 0, count: 512)
        func feed(_ input: Scenario.Input, room: Int) -> Lane.Outcome {
            output.withMutableBytes {
                var space = $0._mutatingExtracting(0..<room)
                return switch input {
                case .overlay(let packet, _):
                    unsafe lane.encapsulate(packet.span.bytes, into: &space, as: scenario.framing, at: scenario.now)
                case .underlay(let datagram):
                    unsafe lane.decapsulate(
                        datagram.span.bytes, from: scenario.source, into: &space, as: scenario.framing,
                        at: scenario.now)
                }
            }
        }
        var last: Lane.Outcome?
        // Those in front pass, as a replay or a rate that is exceeded need it.
        for input in scenario.inputs.dropLast() { last = feed(input, room: 512) }
        let input = try #require(scenario.inputs.last)
        let room = scenario.isCramped ? 1 : 512
        last = feed(input, room: room)
        #expect(last == .dropped(reason))
        let made = Self.count { for _ in 0..<1_000 { last = feed(input, room: room) } }
        #expect(made == 0)
        let again: DropReason =
            switch reason {
            // What was authentic is a replay by now.
            case .innerSourceNotAllowed, .innerDestinationNotAllowed, .innerMalformed, .ceOnNotECT: .replayed
            // Our own key is tried once a millisecond.
            case .sealedWithOurKey: .authenticationFailed
            default: reason
            }
        #expect(last == .dropped(again))
    }
}
