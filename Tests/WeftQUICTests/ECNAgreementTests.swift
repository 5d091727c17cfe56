// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftQUIC

@testable import WeftControl

@Suite("What outer headers take of ECN is agreed on")
struct ECNAgreementTests {
    /// Has a host say another thing of marks.
    private func greet(_ host: Tunnels.Host, _ ecn: Capabilities.Entry?) {
        host.endpoint.greet { _ in
            var capabilities = Capabilities.own
            capabilities[Capabilities.ecn] = ecn
            return capabilities
        }
    }

    @Test("Weft's ends mark for each other, whoever calls", arguments: [(true, false), (false, true), (true, true)])
    func both(dials: (Bool, Bool)) throws {
        let tunnels = try Tunnels(dials: (dials.0, dials.1))
        #expect(tunnels.hosts.allSatisfy { $0.network?.ecn == .compatibility })
        #expect(tunnels.time { tunnels.isUp } != nil)
        #expect(tunnels.hosts.allSatisfy { $0.network?.ecn == .normal })
    }

    @Test(
        "nobody marks for an end that doesn't say that it carries marks, until it does",
        arguments: [nil, Capabilities.Entry(version: 2)], [0, 1])
    func older(entry: Capabilities.Entry?, which: Int) throws {
        let tunnels = try Tunnels()
        greet(tunnels.hosts[which], entry)
        #expect(tunnels.time { tunnels.isUp } != nil)
        #expect(tunnels.hosts[1 - which].network?.ecn == .compatibility)
        #expect(tunnels.hosts[which].network?.ecn == .normal)
        // It is brought up to date, and then taken back.
        for entry in [Capabilities.Entry(version: 1), nil] {
            tunnels.hosts[which] = try tunnels.hosts[which].restarted()
            greet(tunnels.hosts[which], entry)
            try tunnels.set(tunnels.hosts[which], towards: tunnels.hosts[1 - which], dials: true)
            let mode: ECNMode = entry == nil ? .compatibility : .normal
            #expect(tunnels.time { tunnels.isUp && tunnels.hosts[1 - which].network?.ecn == mode } != nil)
        }
    }
}
