// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// What is fed to an engine, in which framing, and with how much room.
struct Scenario {
    enum Input {
        case overlay([UInt8], offload: Offload = .none)
        case underlay([UInt8])
    }

    /// Through which of a lane's transforms.
    enum Way: CaseIterable {
        case across
        case inPlace
        case batch
    }

    var engine: Engine
    var framing = Lane.Framing.datagram
    /// From where datagrams come.
    var source = End.Side.left.underlay(.v4)
    var now = End.start
    var inputs: [Input]
    /// Whether there is room for all but the last byte of the last packet, or all but the last packet of a batch.
    var isCramped = false

    var overlayCount: Int { inputs.count { if case .overlay = $0 { true } else { false } } }
    var underlayCount: Int { inputs.count - overlayCount }

    /// Feeds everything, one by one or as a batch of each direction.
    /// - Returns: how many packets came out in either direction.
    func run(_ way: Way) throws -> Int {
        var lane = try Lane(engine)
        guard way != .batch else { return runBatch(&lane) }
        var passed = 0
        for (index, input) in inputs.enumerated() {
            let isShort = isCramped && index == inputs.count - 1
            let outcome =
                switch input {
                case .overlay(let packet, _): seal(packet, way, isShort, &lane)
                case .underlay(let datagram): open(datagram, way, isShort, &lane)
                }
            if case .dropped = outcome { continue }
            passed += 1
        }
        return passed
    }

    private func seal(_ packet: [UInt8], _ way: Way, _ isShort: Bool, _ lane: inout Lane) -> Lane.Outcome {
        let front = Lane.headroom(for: framing) - (isShort ? 1 : 0)
        var buffer = [UInt8](repeating: 0xEE, count: front + packet.count + Geneve.tagLength)
        if way == .across {
            return buffer.withMutableBytes {
                unsafe lane.encapsulate(packet.span.bytes, into: &$0, as: framing, at: now)
            }
        }
        buffer.replaceSubrange(front..<front + packet.count, with: packet)
        return buffer.withMutableBytes {
            lane.encapsulate(inPlace: &$0, packet: front..<front + packet.count, as: framing, at: now)
        }
    }

    private func open(_ datagram: [UInt8], _ way: Way, _ isShort: Bool, _ lane: inout Lane) -> Lane.Outcome {
        if way == .across {
            var output = [UInt8](repeating: 0xEE, count: isShort ? 1 : datagram.count + 64)
            return output.withMutableBytes {
                unsafe lane.decapsulate(datagram.span.bytes, from: source, into: &$0, as: framing, at: now)
            }
        }
        var buffer = [0xEE, 0xEE, 0xEE] + datagram
        let range = 3..<buffer.count
        return buffer.withMutableBytes {
            lane.decapsulate(inPlace: &$0, received: range, from: source, as: framing, at: now)
        }
    }

    private func runBatch(_ lane: inout Lane) -> Int {
        let room = inputs.count - (isCramped ? 1 : 0)
        var fromOverlay = FromOverlay(capacity: inputs.count)
        var toUnderlay = ToUnderlay(capacity: room)
        var fromUnderlay = FromUnderlay(capacity: inputs.count)
        var toOverlay = ToOverlay(capacity: room)
        for input in inputs {
            switch input {
            case .overlay(let packet, let offload): fromOverlay.append(packet, offload)
            case .underlay(let datagram): fromUnderlay.append(datagram, from: source)
            }
        }
        lane.encapsulate(&fromOverlay, into: &toUnderlay, at: now)
        lane.decapsulate(&fromUnderlay, into: &toOverlay, at: now)
        return toUnderlay.datagrams.count + toOverlay.packets.count
    }
}

extension FromOverlay {
    mutating func append(_ packet: [UInt8], _ offload: Offload = .none) {
        append { (space: inout MutableRawSpan) in
            unsafe space.copy(packet.span.bytes, to: 0)
            return (count: packet.count, offload: offload)
        }
    }
}

extension FromUnderlay {
    mutating func append(
        _ datagram: [UInt8], from source: IPAddress, trafficClass: UInt8 = 0, segmentSize: Int? = nil,
        isTruncated: Bool = false
    ) {
        let start = buffers.count * slotSize
        var bytes = arena.mutableBytes
        unsafe bytes.copy(datagram.span.bytes, to: start)
        buffers.append(
            .init(
                place: PacketRange(offset: start, count: datagram.count), segmentSize: segmentSize,
                source: Endpoint(source, port: Geneve.port), trafficClass: trafficClass, isTruncated: isTruncated))
    }
}

extension ToUnderlay {
    /// Each datagram of each run.
    var datagrams: [[UInt8]] {
        (0..<runs.count).flatMap { index in
            let run = runs[index]
            return stride(from: 0, to: run.place.count, by: run.segmentSize).map { start in
                let offset = run.place.offset + start
                return arena.bytes.array(offset..<offset + min(run.segmentSize, run.place.count - start))
            }
        }
    }
}

extension ToOverlay {
    /// The packets that an interface without offloads would see.
    func delivered(from batch: borrowing FromUnderlay) throws -> [[UInt8]] {
        let overlay = try MemoryOverlay(wake: WakeEvent())
        overlay.send(self, in: batch.arena) { _, _, _ in }
        return overlay.takeDelivered()
    }
}

extension RawSpan {
    func array(_ range: Range<Int>) -> [UInt8] { range.map { load(at: $0, as: UInt8.self) } }
}
