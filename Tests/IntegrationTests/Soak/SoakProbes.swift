// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// Asks the world by each protocol all the while, and notes which questions were answered.
final class SoakProbes: Sendable {
    /// Between two questions of one channel.
    static let interval = Duration.milliseconds(50)
    /// So many answers one after the other say that a way is there again.
    private static let enough = 10

    /// One way of asking.
    private struct Channel: Sendable {
        let name: String
        let destination: String
        /// By which echoes are asked for, or nil for a UDP datagram.
        let echoType: UInt8?
        /// Bytes of a question.
        var length = 8

        static let all = [
            Channel(name: "ping", destination: SoakTopology.world[0], echoType: 8),
            Channel(name: "IPv6 ping", destination: SoakTopology.world[1], echoType: 128),
            Channel(name: "UDP", destination: SoakTopology.world[0], echoType: nil),
            Channel(name: "IPv6 UDP", destination: SoakTopology.world[1], echoType: nil),
            Channel(name: "long UDP", destination: SoakTopology.world[0], echoType: nil, length: 1300),
            Channel(name: "long IPv6 UDP", destination: SoakTopology.world[1], echoType: nil, length: 1300),
        ]
    }

    private struct Record {
        var sent: [ContinuousClock.Instant] = []
        var isAnswered: [Bool] = []
    }

    private let records = Mutex([Record](repeating: Record(), count: Channel.all.count))
    private let isEnding = Atomic(false)
    private let responders: [DatagramEcho]

    /// - Parameters:
    ///   - host: where questions come from.
    ///   - world: who has the world's addresses.
    init(from host: Host, to world: Host) async throws {
        var responders: [DatagramEcho] = []
        for address in SoakTopology.world {
            responders.append(try await world.inNetwork { try DatagramEcho(at: address, port: 7) })
        }
        self.responders = responders
        for (number, channel) in Channel.all.enumerated() {
            let socket = try await host.inNetwork {
                try ProbeSocket(to: channel.destination, port: 7, echoType: channel.echoType, length: channel.length)
            }
            Thread { [weak self] in
                while let self, !self.isEnding.load(ordering: .relaxed) { self.ask(number, socket) }
            }.start()
        }
    }

    func end() {
        isEnding.store(true, ordering: .relaxed)
        for responder in responders { responder.end() }
    }

    /// Sends one question, and takes answers until the next one is due.
    private func ask(_ channel: Int, _ socket: borrowing ProbeSocket) {
        let now = ContinuousClock.now
        let sequence = records.withLock { records in
            records[channel].sent.append(now)
            records[channel].isAnswered.append(false)
            return records[channel].sent.count - 1
        }
        socket.send(UInt64(sequence))
        let next = now + Self.interval
        while true {
            let left = next - ContinuousClock.now
            guard left > .zero else { return }
            guard let answer = socket.receive(within: left) else { continue }
            records.withLock { records in
                if answer < UInt64(records[channel].isAnswered.count) {
                    records[channel].isAnswered[Int(answer)] = true
                }
            }
        }
    }

    /// How long after a moment each channel's questions began to be answered for good, in seconds; nil while they aren't.
    func recoveries(after moment: ContinuousClock.Instant) -> [(name: String, seconds: Double?)] {
        records.withLock { records in
            zip(Channel.all, records).map { channel, record in (channel.name, Self.recovery(of: record, after: moment))
            }
        }
    }

    /// The first of enough answered questions one after the other, all asked later.
    private static func recovery(of record: Record, after moment: ContinuousClock.Instant) -> Double? {
        guard let first = record.sent.firstIndex(where: { $0 >= moment }) else { return nil }
        var count = 0
        for index in first..<record.sent.count {
            count = record.isAnswered[index] ? count + 1 : 0
            guard count == enough else { continue }
            let start = index - enough + 1
            return start == first ? 0 : (record.sent[start] - moment) / .seconds(1)
        }
        return nil
    }
}
