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
        func begin(_ behaviour: String) throws -> Aioquic.Peer {
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
                        endpoint: endpoint)
                ], at: SystemCall.now())
            return peer
        }
    }

    @Test(
        "agrees on the same keys, whoever dials and whoever has the lower key",
        arguments: ["good", "no-capabilities", "unknown-capabilities", "piecemeal"],
        [(true, true), (true, false), (false, true), (false, false)])
    func agrees(behaviour: String, _ way: (Bool, Bool)) throws {
        let pair = try Pair(theyDial: way.0, weAreLower: way.1)
        let peer = try pair.begin(behaviour)
        let ours = pair.ours
        ours.run { ours.control.statuses()[0].agreements > 0 }
        let deadline = Date(timeIntervalSinceNow: 0.3)
        ours.run { Date() > deadline }
        let result = try peer.result()
        try ours.expectSameSAs(as: result)
        let network = try #require(ours.engine.networks().first)
        #expect(network.receive.first?.vni == result.transmit_vni && network.transmit?.vni == result.receive_vni)
        if way.0 { #expect(ours.endpoint.counters.retries == 1, "it took our Retry") }
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
