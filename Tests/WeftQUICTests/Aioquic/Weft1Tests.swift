// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftControl
import WeftQUIC

/// Ours against an end of `weft/1` on aioquic that was written from docs/weft-1.md alone.
@Suite(
    "weft/1 with an independent end", .serialized,
    .enabled(if: Aioquic.interpreter != nil, "needs aioquic: scripts/install-aioquic.sh installs it"))
struct Weft1Tests {
    /// Our end, and an independent one that dials or is dialled.
    private struct Pair {
        let ours: LoopbackEnd
        let own: SharedKey
        let theirs: SharedKey
        let port: UInt16
        let theyDial: Bool

        init(theyDial: Bool, weAreLower: Bool = true) throws {
            let keys = try AioquicPair(weAreLower: weAreLower)
            (own, theirs, self.theyDial) = (keys.own, keys.peer, theyDial)
            ours = try LoopbackEnd(own.identity)
            port = theyDial ? ours.port : keys.port
        }

        /// Starts the independent end, and has ours know it.
        func begin(_ behaviour: String, _ presharedKey: PresharedKey? = nil) throws -> Aioquic.Peer {
            let peer = try Aioquic.Peer(
                theyDial ? "dials" : "listens", theirs.identity, pinning: own.key, port: port, behaviour,
                script: "weft1.py")
            if !theyDial { peer.waitUntilListening() }
            let endpoint = theyDial ? nil : Endpoint(IPAddress(v4: 0x7F00_0001), port: port)
            if ours.engine.networks().isEmpty {
                try ours.engine.add(NetworkConfiguration(.number(0), endpoint: endpoint, routes: []))
            }
            try ours.control.setPeers(
                [
                    ControlPeer(
                        publicKey: theirs.key, network: .number(0), vni: ControlPeer.derivedVNI(own.key, theirs.key),
                        endpoint: endpoint, rekeyInterval: .seconds(1), presharedKey: presharedKey)
                ], at: SystemCall.now())
            return peer
        }
    }

    @Test(
        "agrees on the same keys, whoever dials and whoever has the lower key",
        arguments: ["good", "no-capabilities", "unknown-capabilities", "piecemeal", "preshared", "renews"],
        [(true, true), (true, false), (false, true), (false, false)])
    func agrees(behaviour: String, _ way: (Bool, Bool)) throws {
        let pair = try Pair(theyDial: way.0, weAreLower: way.1)
        let peer = try pair.begin(behaviour, ["preshared", "renews"].contains(behaviour) ? Self.preshared : nil)
        let ours = pair.ours
        let exchanges = behaviour == "renews" ? 3 : 1
        ours.run { ours.control.statuses()[0].agreements == exchanges }
        let deadline = Date(timeIntervalSinceNow: 0.3)
        ours.run { Date() > deadline }
        let result = try peer.result()
        try ours.expectRatchetedSAs(as: result)
        let network = try #require(ours.engine.networks().first)
        #expect(network.receive.first?.vni == result.transmit_vni && network.transmit?.vni == result.receive_vni)
        if way.0 { #expect(ours.endpoint.counters.retries == 1, "it took our Retry") }
    }

    private static let preshared = PresharedKey(SecretBytes(copying: [UInt8](0..<32).span))

    @Test(
        "whose exchange is wrong ends its session, and nothing of it is installed",
        arguments: [
            ("wrong-mac", 4), ("useless-share", 1), ("skipped-exchange", 1), ("other-suite", 1), ("wrong-role", 1),
            ("old-offer", 1), ("repeated-spi", 1), ("offer-by-responder", 1),
        ] as [(String, UInt64)], [true, false])
    func badExchange(_ bad: (behaviour: String, code: UInt64), weAreLower: Bool) throws {
        // An initiator may offer.
        if bad.behaviour == "offer-by-responder", !weAreLower { return }
        let pair = try Pair(theyDial: true, weAreLower: weAreLower)
        let peer = try pair.begin(bad.behaviour)
        let ours = pair.ours
        ours.run { !peer.isRunning }
        let result = try peer.result()
        #expect(result.end == "closed" && result.code == bad.code, "\(result) \(ours.lines.lines)")
        let agreements: UInt64 = bad.behaviour == "repeated-spi" ? 1 : 0
        #expect(ours.control.statuses()[0].agreements == agreements)
        #expect(ours.control.statuses()[0].failures > 0)
        if agreements == 0 { #expect(ours.engine.networks()[0].transmit == nil) }
    }

    @Test(
        "with another preshared key, or none, is told so and says so", arguments: [true, false], ["good", "preshared"])
    func unequalPresharedKeys(weAreLower: Bool, behaviour: String) throws {
        let pair = try Pair(theyDial: true, weAreLower: weAreLower)
        let another = PresharedKey(SecretBytes(copying: [UInt8](1...32).span))
        let peer = try pair.begin(behaviour, another)
        let ours = pair.ours
        ours.run { !peer.isRunning }
        let deadline = Date(timeIntervalSinceNow: 0.2)
        ours.run { Date() > deadline }
        let result = try peer.result()
        // The initiator finds it out, and tells the other.
        #expect(weAreLower ? result.end == "closed" && result.code == 4 : result.end == "refused", "\(result)")
        #expect(ours.lines.lines.contains { $0.contains("the preshared keys differ") }, "\(ours.lines.lines)")
        #expect(ours.control.statuses()[0].agreements == 0)
        #expect(ours.engine.networks()[0].transmit == nil)
    }

    @Test("is not answered without a tag, and is with it")
    func silence() throws {
        let pair = try Pair(theyDial: true)
        let stranger = try pair.begin("no-tag")
        pair.ours.run { !stranger.isRunning }
        #expect(try stranger.result().end == "timeout")
        #expect(pair.ours.endpoint.counters.retries == 0)
        let friend = try pair.begin("good")
        pair.ours.run { pair.ours.control.statuses()[0].agreements > 0 }
        #expect(pair.ours.control.statuses()[0].agreements == 1)
        _ = friend
    }

    @Test(
        "is let go of when its first message is none",
        arguments: ["repeated-capability", "cut-capability", "offer-first", "says-nothing"], [true, false])
    func badFirstMessage(behaviour: String, theyDial: Bool) throws {
        let pair = try Pair(theyDial: theyDial)
        let peer = try pair.begin(behaviour)
        pair.ours.run { !peer.isRunning }
        let result = try peer.result()
        // Who calls and hears nothing may have given the call up before.
        let codes: [UInt64] = behaviour == "says-nothing" && !theyDial ? [0, 1] : [1]
        #expect(result.end == "closed" && result.code.map(codes.contains) == true, "\(result) \(pair.ours.lines.lines)")
        #expect(pair.ours.control.statuses()[0].agreements == 0)
        #expect(pair.ours.engine.networks()[0].receive.isEmpty)
    }

    @Test("computes what the document's example says")
    func example() throws {
        let document = try String(
            contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../docs/weft-1.md"),
            encoding: .utf8)
        let key = try #require(document.split(separator: "\n").first { $0.contains("MFkw") }.map(String.init))
        let peer = try Aioquic.Peer(
            "dials", Identity.generate(), pinning: PublicKey(key.trimmingCharacters(in: .whitespaces)), port: 1,
            "example", script: "weft1.py")
        let result = try peer.result()
        #expect(document.contains("`\(result.end)`"), "\(result)")
        #expect(document.contains("`\(result.reason ?? "-")`"), "\(result)")
    }
}

extension LoopbackEnd {
    /// Whether what either end seals opens at the other, as far as that says which SAs and keys it has.
    fileprivate func expectRatchetedSAs(as theirs: AioquicResult) throws {
        #expect(theirs.end == "agreed", "\(theirs), \(lines.lines), \(endpoint.counters)")
        let id = NetworkID.number(0)
        let other = try Engine(EngineConfiguration(lanes: 1))
        try other.add(NetworkConfiguration(id, endpoint: Endpoint(IPAddress(v4: 0x7F00_0001), port: port), routes: []))
        let pair = SAPair(
            receiveSPI: try #require(theirs.own_spi), receiveKey: try PacketKey.read(theirs.receive_key),
            transmitSPI: try #require(theirs.peer_spi), transmitKey: try PacketKey.read(theirs.transmit_key),
            expiry: .distantFuture, receiveVNI: theirs.receive_vni, transmitVNI: theirs.transmit_vni)
        try other.install(pair, for: id, at: SystemCall.now())
        for (sender, receiver) in [(engine, other), (other, engine)] {
            try sender.updateEndpoint(of: id, to: Endpoint(IPAddress(v4: 0x7F00_0001), port: port))
            #expect(try sender.keepAlive(of: id, opensAt: receiver))
        }
    }
}

extension PacketKey {
    /// A key as the independent end writes it.
    fileprivate static func read(_ text: String?) throws -> PacketKey {
        let digits = Array(text ?? "")
        return try PacketKey(
            stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                UInt8(String(digits[$0...$0 + 1]), radix: 16)
            })
    }
}

extension Engine {
    fileprivate func keepAlive(of id: NetworkID, opensAt receiver: Engine) throws -> Bool {
        var sender = try Lane(self)
        var opener = try Lane(receiver)
        try requestKeepAlive(of: id)
        var sealed = [UInt8](repeating: 0, count: 128)
        var span = sealed.mutableSpan
        var output = unsafe span.mutableBytes
        guard let range = sender.keepAlive(of: id, into: &output, as: .datagram, at: SystemCall.now()) else {
            return false
        }
        var plain = [UInt8](repeating: 0, count: 128)
        var plainSpan = plain.mutableSpan
        var plainOutput = unsafe plainSpan.mutableBytes
        let outcome = opener.decapsulate(
            unsafe sealed.span.extracting(range).bytes, from: IPAddress(v4: 0x7F00_0001), into: &plainOutput,
            as: .datagram, at: SystemCall.now())
        if case .dropped = outcome { return false }
        return true
    }
}
