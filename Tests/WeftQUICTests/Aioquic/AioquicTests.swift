// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftControl
import WeftQUIC

/// Ours against aioquic, which shares no line with it, in both roles and with every way of doing it wrong.
@Suite(
    .serialized,
    .enabled(if: Aioquic.interpreter != nil, "needs aioquic: scripts/install-aioquic.sh installs it"))
struct AioquicTests {
    @Test func aioquicCallsUs() throws {
        var pair = try AioquicPair(weAreLower: false)
        let (end, peer) = try pair.begin("client", "good")
        end.run { end.control.statuses()[0].agreements > 0 }
        let deadline = Date(timeIntervalSinceNow: 0.3)
        end.run { Date() > deadline }
        try end.expectSameSAs(as: try peer.result())
        #expect(end.endpoint.counters.retries == 1, "aioquic took our Retry")
    }

    @Test(arguments: ["client", "server"])
    func firstReleaseGoesOnWhereItsSectionSaysSo(side: String) throws {
        var pair = try AioquicPair(weAreLower: side == "server", isFirstRelease: true)
        let (end, peer) = try pair.begin(side, "good")
        end.run { end.control.statuses()[0].agreements > 0 }
        let deadline = Date(timeIntervalSinceNow: 0.3)
        end.run { Date() > deadline }
        try end.expectSameSAs(as: try peer.result())
    }

    @Test func trafficKeysAreUpdatedAfterTLSHasGone() throws {
        var pair = try AioquicPair(weAreLower: false)
        let (end, peer) = try pair.begin("client", "key-update")
        end.run { !peer.isRunning }
        let result = try peer.result()
        #expect(result.end == "agreed" && result.updated == true, "\(result)")
    }

    @Test func weCallAioquic() throws {
        var pair = try AioquicPair(weAreLower: true)
        let (end, peer) = try pair.begin("server", "good")
        end.run { end.control.statuses()[0].agreements > 0 }
        let deadline = Date(timeIntervalSinceNow: 0.2)
        end.run { Date() > deadline }
        try end.expectSameSAs(as: try peer.result())
    }

    /// A way of doing it wrong, and how an end that dials with it is told.
    struct Wrong: CustomTestStringConvertible, Sendable {
        let behaviour: String
        /// The code that we close with; nil where the handshake is right, and the stream is reset.
        let code: UInt64?

        var testDescription: String { behaviour }

        /// A TLS alert's place among QUIC's error codes (RFC 9001, section 4.8).
        static let alert: UInt64 = 0x100

        static let asClient = [
            Wrong(behaviour: "wrong-key", code: alert + 42),
            Wrong(behaviour: "no-certificate", code: alert + 116),
            Wrong(behaviour: "no-private-key", code: alert + 51),
            Wrong(behaviour: "wrong-alpn", code: alert + 120),
            Wrong(behaviour: "no-alpn", code: 1),
            Wrong(behaviour: "no-tls13", code: alert + 70),
            Wrong(behaviour: "ticket", code: alert + 47),
            Wrong(behaviour: "own-half", code: nil),
            Wrong(behaviour: "oversized", code: nil),
        ]
    }

    @Test(arguments: Wrong.asClient)
    func aioquicAsClientIsRefused(wrong: Wrong) throws {
        var pair = try AioquicPair(weAreLower: false)
        let (end, peer) = try pair.begin("client", wrong.behaviour)
        end.run { !peer.isRunning }
        let result = try peer.result()
        #expect(result.end == (wrong.code == nil ? "reset" : "closed"), "\(result)")
        #expect(result.code == wrong.code, "\(result) \(end.lines.lines)")
        #expect(end.control.statuses()[0].agreements == 0)
        #expect(end.engine.networks()[0].transmit == nil && end.engine.networks()[0].receive.isEmpty)
        // The right one is still welcome.
        let good = try pair.again("client", "good")
        end.run { end.control.statuses()[0].agreements > 0 }
        #expect(end.control.statuses()[0].agreements == 1)
        _ = good
    }

    /// Each with what our end says of it. Of a wrong protocol and a wrong version aioquic itself has to tell us, as
    /// we offer no other.
    @Test(arguments: [
        ("wrong-key", "has another key"),
        ("no-certificate", "TLS alert 50"),
        ("no-private-key", "TLS alert 51"),
        ("wrong-alpn", "TLS alert 120"),
        ("no-alpn", "the protocol isn't ours"),
        ("no-tls13", "TLS alert 70"),
        ("ticket", "TLS alert 10"),
        ("own-half", "of this end's role"),
        ("oversized", "too large"),
    ])
    func aioquicAsServerIsRefused(behaviour: String, why: String) throws {
        var pair = try AioquicPair(weAreLower: true)
        let (end, peer) = try pair.begin("server", behaviour)
        defer { withExtendedLifetime(peer) {} }
        end.run { end.control.statuses()[0].failures > 0 }
        #expect(end.control.statuses()[0].agreements == 0)
        #expect(end.control.statuses()[0].failures > 0)
        #expect(end.engine.networks()[0].transmit == nil && end.engine.networks()[0].receive.isEmpty)
        #expect(end.lines.lines.contains { $0.contains(why) }, "\(end.lines.lines)")
        end.control.close(at: SystemCall.now())
        let deadline = Date(timeIntervalSinceNow: 0.1)
        end.run { Date() > deadline }
    }
}
