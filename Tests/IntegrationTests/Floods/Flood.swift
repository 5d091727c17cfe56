// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Synchronization
import Weft
import WeftControl
import WeftQUIC

/// What strangers send at the right host's port, from the left one, under addresses of 198.18.0.0/15.
struct Flood: Sendable, CustomStringConvertible {
    enum Packets: String, Sendable {
        case untagged = "first packets without a tag"
        case short = "short packets, as resets are"
        case stray = "short packets with a tag, as lost sessions send them"
        case tagged = "first packets with a tag"
        /// Each answer is answered, and then no more: so many handshakes are under way as the port lets there be.
        case handshakes = "first packets with a tag, and handshakes as far as they are let"
    }

    let packets: Packets
    /// Nil for another one with each packet.
    let sources: Int?

    var description: String { "\(packets.rawValue), \(sources.map { "\($0)" } ?? "any") sources" }

    static let all = [
        Flood(packets: .untagged, sources: 1), Flood(packets: .untagged, sources: 1000),
        Flood(packets: .short, sources: 1), Flood(packets: .short, sources: 1000),
        Flood(packets: .stray, sources: 1), Flood(packets: .stray, sources: 1000),
        Flood(packets: .handshakes, sources: 1), Flood(packets: .handshakes, sources: 1000),
        Flood(packets: .tagged, sources: nil),
    ]

    private static let kinds = 512
    /// Dials that wait for their Retry.
    private static let mostDials = 4096

    /// Datagrams to begin with; what it takes to make them.
    private func datagrams(at server: PublicKey, _ tags: ConnectionTags) throws -> [[UInt8]] {
        switch packets {
        case .short, .stray:
            return (0..<Self.kinds).map { _ in
                var packet = (0..<59).map { _ in UInt8.random(in: 0...255) }
                packet[0] = .random(in: 0x40...0x7F)
                if packets == .stray { packet.replaceSubrange(1..<19, with: tags.makeID()) }
                return packet
            }
        case .untagged, .tagged, .handshakes:
            let client = try QUICEndpoint(Identity.generate())
            let now = SystemCall.now()
            let called = try packets == .untagged ? Identity.generate().publicKey : server
            for _ in 0..<Self.kinds { _ = client.dial(called, at: Endpoint(IPAddress(v4: 1), port: 1), now: now) }
            var made: [[UInt8]] = []
            client.flush(now: now) { packet, _ in made.append(packet.indices.map { packet[$0] }) }
            return made
        }
    }

    /// What came of it.
    struct Outcome: Sendable {
        var sent = 0
        var seconds = 0.0
        /// Answers that were answered.
        var answered = 0
    }

    /// Sends until `isOver`, so many a second; in the left host's network.
    func run(at server: PublicKey, _ tags: ConnectionTags, perSecond rate: Int, until isOver: () -> Bool) throws
        -> Outcome
    {
        var sender = try Sender(datagrams(at: server, tags), sources)
        var caller = try packets == .handshakes ? Caller(server) : nil
        let clock = ContinuousClock()
        let start = clock.now
        var outcome = Outcome()
        while !isOver() {
            let due = Int(clock.now.duration(to: start) / .seconds(-1) * Double(rate))
            let before = outcome.sent
            while outcome.sent < due, outcome.sent < before + 64 {
                sender.send(outcome.sent)
                outcome.sent += 1
            }
            outcome.answered += try caller?.goOn(sources ?? 1) ?? 0
            if outcome.sent >= due { usleep(500) }
        }
        outcome.seconds = clock.now.duration(to: start) / .seconds(-1)
        return outcome
    }

    static func address(_ number: Int) -> [UInt8] {
        [198, UInt8(18 + number >> 16 & 1), UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)]
    }

    /// Frames to the right host with any source.
    private struct Sender {
        private let socket: PacketSocket
        private var frames: [[UInt8]]
        private let sources: Int?

        init(_ datagrams: [[UInt8]], _ sources: Int?) throws {
            socket = try PacketSocket("underlay")
            frames = datagrams.flatMap { Self.frame($0, from: 1) }
            self.sources = sources
        }

        static func frame(_ datagram: [UInt8], from source: Int, port: UInt16 = 40_000) -> [[UInt8]] {
            var frame = UnderlayFrame()
            frame.source = Flood.address(source)
            frame.destination = [192, 0, 2, 2]
            frame.destinationMAC = [2, 0, 0, 0, 0, 2]
            return frame.frames(datagram).map { made in
                var made = made
                made[34] = UInt8(port >> 8)
                made[35] = UInt8(port & 0xFF)
                return made
            }
        }

        mutating func send(_ number: Int) {
            let index = number % frames.count
            let source = sources.map { 1 + number % $0 } ?? .random(in: 0..<1 << 17)
            frames[index].replaceSubrange(26..<30, with: Flood.address(source))
            let port = UInt16.random(in: 1024...65_535)
            frames[index][34] = UInt8(port >> 8)
            frames[index][35] = UInt8(port & 0xFF)
            frames[index][24] = 0
            frames[index][25] = 0
            var sum = stride(from: 14, to: 34, by: 2).reduce(UInt32(0)) {
                $0 + UInt32(frames[index][$1]) << 8 + UInt32(frames[index][$1 + 1])
            }
            sum = sum & 0xFFFF + sum >> 16
            sum = sum & 0xFFFF + sum >> 16
            frames[index][24] = ~UInt8(sum >> 8)
            frames[index][25] = ~UInt8(sum & 0xFF)
            socket.send(frames[index])
        }
    }

    /// Begins handshakes and goes on as long as it is answered, as far as the other end's half of one.
    private struct Caller {
        private let socket: PacketSocket
        private let server: PublicKey
        private var client: QUICEndpoint
        private var dials = 0
        private static let target = Endpoint(IPAddress(v4: 0xC000_0202), port: 6081)

        init(_ server: PublicKey) throws {
            self.server = server
            socket = try PacketSocket("underlay", hears: true)
            client = try QUICEndpoint(Identity.generate())
        }

        mutating func goOn(_ sources: Int) throws -> Int {
            // What began long ago has come to nothing.
            if dials > Flood.mostDials {
                client = try QUICEndpoint(Identity.generate())
                dials = 0
            }
            let now = SystemCall.now()
            for _ in 0..<2 {
                _ = client.dial(server, at: Self.target, now: now)
                dials += 1
                flush(from: 1 + Int.random(in: 0..<sources), now)
            }
            var answered = 0
            for _ in 0..<64 {
                guard let frame = socket.next() else { break }
                // A Retry to one of ours; what follows it is left unanswered.
                guard frame.count > 62, frame[23] == 17, frame[30] == 198, frame[42] & 0xF0 == 0xF0 else { continue }
                let retry = Array(frame.dropFirst(42))
                client.receive(retry.span, from: Self.target, now: now)
                flush(from: Int(frame[31] & 1) << 16 | Int(frame[32]) << 8 | Int(frame[33]), now)
                answered += 1
            }
            return answered
        }

        private func flush(from source: Int, _ now: Instant) {
            client.flush(now: now) { packet, _ in
                for frame in Sender.frame(packet.indices.map { packet[$0] }, from: source) { socket.send(frame) }
            }
        }
    }
}
