// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftControl
import WeftQUIC

/// An end that has a key of the file and wants to stop us: we live on, its session alone ends, and says why.
@Suite(
    .serialized,
    .enabled(if: Aioquic.interpreter != nil, "needs aioquic: scripts/install-aioquic.sh installs it"))
struct HostilePeerTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let side: String
        let behaviour: String
        /// What our end says of it.
        let why: String

        var testDescription: String { "\(behaviour) by a \(side)" }

        static let all =
            ["client", "server"].flatMap { side in
                [
                    Case(side: side, behaviour: "retire", why: "NEW_CONNECTION_ID that retires other ids"),
                    Case(side: side, behaviour: "unknown-frame", why: "a malformed frame of type 0x3f"),
                    Case(side: side, behaviour: "cut-frame", why: "a malformed frame of type 0x18"),
                ]
            } + [
                Case(side: "server", behaviour: "retire-early", why: "NEW_CONNECTION_ID that retires other ids"),
                Case(side: "server", behaviour: "done-early", why: "HANDSHAKE_DONE before the handshake is done"),
                Case(side: "client", behaviour: "new-ids", why: "NEW_CONNECTION_ID beyond 16 ids"),
            ]
    }

    /// RFC 9000, section 20.1.
    static let protocolViolation: UInt64 = 10

    @Test(arguments: Case.all)
    func onlyItsSessionEnds(hostile: Case) throws {
        var pair = try AioquicPair(weAreLower: hostile.side == "server")
        let (end, peer) = try pair.begin(hostile.side, hostile.behaviour)
        end.run { !peer.isRunning }
        let result = try peer.result()
        #expect(result.end == "closed" && result.code == Self.protocolViolation, "\(result) \(end.lines.lines)")
        #expect(end.lines.lines.contains { $0.contains(hostile.why) }, "\(end.lines.lines)")
        // The same key, of an end that behaves, is still welcome.
        let before = end.control.statuses()[0].agreements
        let good = try pair.again(hostile.side, "good")
        end.run { end.control.statuses()[0].agreements > before }
        #expect(end.control.statuses()[0].agreements > before, "\(end.lines.lines)")
        _ = good
    }

    /// Not hostile at all: a NAT that forgets a port and finds it again does that.
    @Test func whoComesBackIsHeard() throws {
        var pair = try AioquicPair(weAreLower: false)
        let (end, peer) = try pair.begin("client", "comes-back")
        end.run { !peer.isRunning }
        let result = try peer.result()
        #expect(result.end == "answered", "\(result) \(end.lines.lines)")
        // It says goodbye when it's done.
        #expect(end.lines.lines.allSatisfy { $0.contains("the peer ended the session") }, "\(end.lines.lines)")
    }
}
