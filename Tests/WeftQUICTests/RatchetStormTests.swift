// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftQUIC
import WeftTestSupport

/// Two ends that renew keys every second, with datagrams lost, doubled and late, both dialling, sessions cut whatever an exchange
/// is at, and packets both ways all the time.
@Suite("A storm of exchanges")
struct RatchetStormTests {
    /// Carries packets between two engines, by a way of its own on which they are late and overtake each other.
    private struct Packets: ~Copyable {
        private struct Flying {
            let bytes: [UInt8]
            let due: Instant
            let target: Int
        }

        private var lanes: [LaneBox] = []
        private var flying: [Flying] = []
        private(set) var opened = [0, 0]
        private(set) var dropped: [DropReason: Int] = [:]

        final class LaneBox {
            var lane: Lane
            init(_ engine: Engine) throws { lane = try Lane(engine) }
        }

        init(_ hosts: [Tunnels.Host]) throws { lanes = try hosts.map { try LaneBox($0.engine) } }

        /// Has each end seal a packet if it has a key, and the other end open what has arrived.
        mutating func step(_ tunnels: Tunnels, _ random: inout SeededGenerator) throws {
            for (index, host) in tunnels.hosts.enumerated() {
                try host.engine.requestKeepAlive(of: Tunnels.network)
                lanes[index].lane.refresh()
                var sealed = [UInt8](repeating: 0, count: 128)
                var span = sealed.mutableSpan
                var output = unsafe span.mutableBytes
                let range = lanes[index].lane.keepAlive(
                    of: Tunnels.network, into: &output, as: .datagram, at: tunnels.now)
                guard let range else { continue }
                let late = Duration.milliseconds(Int.random(in: 0...150, using: &random))
                flying.append(
                    Flying(
                        bytes: Array(sealed[range]), due: tunnels.now.advanced(by: late), target: 1 - index))
            }
            for packet in flying where packet.due <= tunnels.now {
                var plain = [UInt8](repeating: 0, count: 128)
                var span = plain.mutableSpan
                var output = unsafe span.mutableBytes
                let source = tunnels.hosts[1 - packet.target].address.address
                let outcome = lanes[packet.target].lane.decapsulate(
                    unsafe packet.bytes.span.bytes, from: source, into: &output, as: .datagram, at: tunnels.now)
                switch outcome {
                case .dropped(let reason): dropped[reason, default: 0] += 1
                default: opened[packet.target] += 1
                }
            }
            flying.removeAll { $0.due <= tunnels.now }
        }
    }

    @Test("a thousand exchanges: never different keys at the ends, and no packet lost to keys")
    func storm() throws {
        var random = SeededGenerator.fresh()
        let seed = random.seed
        let key = PresharedKeyTests.key(7)
        let tunnels = try Tunnels()
        for (index, host) in tunnels.hosts.enumerated() {
            try tunnels.set(
                host, towards: tunnels.hosts[1 - index], dials: true, rekeyInterval: .seconds(1), presharedKey: key)
        }
        var fates = SeededGenerator(seed: seed &+ 1)
        tunnels.fate = {
            // A fifth is lost, a tenth comes twice, all are late by up to 60 ms.
            guard Int.random(in: 0..<5, using: &fates) > 0 else { return [] }
            let copies = Int.random(in: 0..<10, using: &fates) == 0 ? 2 : 1
            return (0..<copies).map { _ in .milliseconds(Int.random(in: 0...60, using: &fates)) }
        }
        #expect(tunnels.time { tunnels.isUp } != nil, "seed \(seed)")
        var packets = try Packets(tunnels.hosts)
        func agreements() -> [UInt64] { tunnels.hosts.map { $0.control.statuses()[0].agreements } }
        var cuts = 0
        var ticks = 0
        while agreements().contains(where: { $0 < 1000 }), ticks < 400_000 {
            ticks += 1
            tunnels.run(for: .milliseconds(10))
            if ticks % 3 == 0 { try packets.step(tunnels, &random) }
            if ticks % 100 == 0 { for host in tunnels.hosts { host.engine.sweep(at: tunnels.now) } }
            // A session ends at one end, which tells the other or doesn't, as the datagram is lost or not.
            if Int.random(in: 0..<700, using: &random) == 0 {
                cuts += 1
                let host = tunnels.hosts[Int.random(in: 0...1, using: &random)]
                host.cutSessions(at: tunnels.now)
            }
        }
        print("\(agreements()) agreements, \(cuts) cuts, \(packets.opened) packets opened, dropped \(packets.dropped)")
        #expect(agreements().allSatisfy { $0 >= 1000 }, "seed \(seed)")
        #expect(packets.dropped.isEmpty, "seed \(seed)")
        #expect(packets.opened.allSatisfy { $0 > 10_000 }, "seed \(seed)")
        #expect(cuts > 20, "seed \(seed)")
        for host in tunnels.hosts {
            let lines = host.log.lines.filter { $0.contains("preshared") || $0.contains("follows the protocol") }
            #expect(lines.isEmpty, "seed \(seed): \(lines)")
        }
    }
}

extension Tunnels.Host {
    /// Ends all its sessions behind its control plane's back.
    func cutSessions(at now: Instant) {
        for number in 1...5000 as ClosedRange<UInt64> {
            endpoint.close(SessionID(rawValue: number), code: 0, now: now)
        }
    }
}
