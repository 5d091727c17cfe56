// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

/// An identity that several may use.
final class SharedKey {
    let identity: Identity
    init() throws { identity = try Identity.generate() }
    var key: PublicKey { identity.publicKey }
}

/// Our end and an independent one that know each other's keys. Whose key is lower dials.
struct AioquicPair {
    static let vni: UInt32 = 7
    private static let controlPort: UInt16 = 6082

    let own: SharedKey
    let peer: SharedKey
    /// Where the independent end listens, or calls.
    private(set) var port = UInt16.random(in: 20_000...30_000)
    /// Whether the independent end is one of Weft's first release for ours, on the shared port, rather than ICX's.
    private let isFirstRelease: Bool

    init(weAreLower: Bool, isFirstRelease: Bool = false) throws {
        self.isFirstRelease = isFirstRelease
        let one = try SharedKey()
        let two = try SharedKey()
        let isLower = one.key.subjectPublicKeyInfo.lexicographicallyPrecedes(two.key.subjectPublicKeyInfo)
        (own, peer) = isLower == weAreLower ? (one, two) : (two, one)
    }

    /// Starts the independent end on a side, and then ours.
    mutating func begin(_ side: String, _ behaviour: String) throws -> (LoopbackEnd, Aioquic.Peer) {
        guard side == "server" else {
            let end = try ours(towards: nil)
            port = end.port
            return (end, try again(side, behaviour))
        }
        let other = try again(side, behaviour)
        return (try ours(towards: Endpoint(IPAddress(v4: 0x7F00_0001), port: port)), other)
    }

    /// Starts the independent end, which is where it was.
    func again(_ side: String, _ behaviour: String) throws -> Aioquic.Peer {
        let other = try Aioquic.Peer(side, peer.identity, pinning: own.key, port: port, behaviour)
        if side == "server" { other.waitUntilListening() }
        return other
    }

    private func ours(towards endpoint: Endpoint?) throws -> LoopbackEnd {
        let end = try LoopbackEnd(own.identity)
        try end.engine.add(NetworkConfiguration(vni: Self.vni, endpoint: endpoint, routes: []))
        try end.control.setPeers(
            [
                ControlPeer(
                    publicKey: peer.key, vni: Self.vni, endpoint: endpoint,
                    controlPort: isFirstRelease ? nil : endpoint?.port ?? Self.controlPort,
                    isFirstRelease: isFirstRelease)
            ], at: SystemCall.now())
        return end
    }
}

extension LoopbackEnd {
    /// Whether both ends have the same SAs, keys included.
    func expectSameSAs(as theirs: AioquicResult) throws {
        #expect(theirs.end == "agreed", "\(theirs), \(lines.lines), \(endpoint.counters)")
        let network = try #require(engine.networks().first)
        #expect(network.transmit?.spi == theirs.own_spi)
        #expect(network.receive.first?.spi == theirs.peer_spi)
        guard let keys = transport.masterKeys else { throw NoSecret() }
        #expect(try keys.hex(theirs.own_spi ?? 0) == theirs.receive_key)
        #expect(try keys.hex(theirs.peer_spi ?? 0) == theirs.transmit_key)
    }
}
