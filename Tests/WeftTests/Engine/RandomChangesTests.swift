// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("networks that come, change and go at random")
struct RandomChangesTests {
    private struct Network {
        var configuration: NetworkConfiguration
        var epoch: UInt32
    }

    /// Keys of an epoch. Of networks without a VNI of their own they bring new ones for both directions.
    private static func keys(of network: NetworkID, epoch: UInt32) throws -> SAPair {
        let pair = try Keys.pair(.left, epoch: epoch)
        guard network.vni == nil else { return pair }
        return SAPair(
            receiveSPI: pair.receiveSPI, receiveKey: pair.receiveKey, transmitSPI: pair.transmitSPI,
            transmitKey: pair.transmitKey, expiry: pair.expiry, receiveVNI: 1000 + epoch,
            transmitVNI: 0xFF_0000 - epoch)
    }

    /// What the engine should hold, kept naively.
    private struct Reference {
        var networks: [NetworkID: Network] = [:]

        /// Who carries packets from 10.1.0.1: the longest destination prefix of those that send.
        func carrier(to destination: IPAddress) -> Network? {
            networks.values.filter { !$0.configuration.isReceiveOnly }
                .flatMap { network in network.configuration.routes.map { (network, $0.destination) } }
                .filter { $0.1.contains(destination) }
                .max { $0.1.length < $1.1.length }?.0
        }

        func isFree(_ routes: [Route], except ids: Set<NetworkID>) -> Bool {
            networks.values.allSatisfy { other in
                ids.contains(other.configuration.id) || other.configuration.isReceiveOnly
                    || Set(other.configuration.routes).isDisjoint(with: routes)
            }
        }
    }

    @Test("after each step every packet goes where a naive list of networks sends it, under the newest keys")
    func random() throws {
        var generator = SeededGenerator.fresh()
        print("seed \(generator.seed)")
        let engine = try Engine(End(.left).configuration)
        var lane = try Lane(engine)
        var reference = Reference()
        var epoch: UInt32 = 0
        for step in 0..<3000 {
            let known = reference.networks.keys.sorted()
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<7:
                var changes = NetworkChanges()
                var next = reference
                let goes = Int.random(in: 0...known.count, using: &generator) / 12
                changes.removed = Set(known.shuffled(using: &generator).prefix(goes))
                for id in changes.removed { next.networks[id] = nil }
                let stays = known.filter { !changes.removed.contains($0) }
                for id in stays.shuffled(using: &generator).prefix(Int.random(in: 0...2, using: &generator)) {
                    let configuration = Self.network(id, using: &generator)
                    guard next.isFree(configuration.ownedRoutes, except: [id]) else { continue }
                    changes.changed.append(configuration)
                    next.networks[id]?.configuration = configuration
                }
                for _ in 0..<Int.random(in: 0...3, using: &generator) {
                    // A number may go and come in one step.
                    let number = UInt32.random(in: 1...20, using: &generator)
                    let id: NetworkID = Bool.random(using: &generator) ? .vni(number) : .number(number)
                    let configuration = Self.network(id, using: &generator)
                    guard next.networks[id] == nil, next.isFree(configuration.ownedRoutes, except: []) else {
                        continue
                    }
                    epoch += 1
                    changes.added.append(configuration)
                    changes.keys[id] = try Self.keys(of: id, epoch: epoch)
                    next.networks[id] = Network(configuration: configuration, epoch: epoch)
                }
                try engine.apply(changes)
                reference = next
            default:
                guard let id = known.randomElement(using: &generator) else { continue }
                epoch += 1
                try engine.install(Self.keys(of: id, epoch: epoch), for: id, at: End.start)
                reference.networks[id]?.epoch = epoch
            }
            lane.refresh()
            #expect(engine.networks().map(\.id) == reference.networks.keys.sorted())
            for _ in 0..<8 {
                let destination = IPAddress(v4: 0x0A02_0000 | UInt32.random(in: 0..<4096, using: &generator))
                let sealed = lane.seal(
                    Packets.udp(IPAddress(v4: 0x0A01_0001), destination, count: 60), as: .datagram, at: End.start)
                let expected = reference.carrier(to: destination)
                #expect((sealed.outcome == "forward") == (expected != nil), "step \(step)")
                guard let expected, sealed.outcome == "forward" else { continue }
                let vni = expected.configuration.id.vni ?? 0xFF_0000 - expected.epoch
                #expect(sealed.bytes.word(4, as: UInt32.self) >> 8 == vni, "step \(step)")
                #expect(
                    sealed.bytes.word(12, as: UInt32.self) == Keys.spi(.left, epoch: expected.epoch), "step \(step)")
            }
        }
        print("\(epoch) installations, \(reference.networks.count) networks left")
    }

    /// A network with up to three nested prefixes of 10.2.0.0/20, which now and then only receives.
    private static func network(_ id: NetworkID, using generator: inout SeededGenerator) -> NetworkConfiguration {
        let routes = (0..<Int.random(in: 0...3, using: &generator)).compactMap { _ -> Route? in
            let address = IPAddress(v4: 0x0A02_0000 | UInt32.random(in: 0..<4096, using: &generator))
            guard let source = Prefix("10.1.0.0/16"),
                let destination = Prefix(address, length: Int.random(in: 21...32, using: &generator))
            else { return nil }
            return Route(source: source, destination: destination)
        }
        return NetworkConfiguration(
            id, endpoint: End(.left).remote, routes: Array(Set(routes)),
            isReceiveOnly: Int.random(in: 0..<6, using: &generator) == 0)
    }
}
