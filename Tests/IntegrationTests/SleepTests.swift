// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("A host that sleeps")
    struct Sleep {
        /// Nothing of the end runs for longer than sessions live without a datagram, and the clock goes on, as in a suspend.
        @Test("has keys again within 3 s of its return, whoever calls", arguments: [true, false])
        func returns(sleeperCalls: Bool) async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing(calls: (sleeperCalls, !sleeperCalls))
            let sleeper = hosts.left
            let status = try await sleeper.status()
            let processes = [status.processID, status.control?.processID, status.control?.spawnerID].compactMap(\.self)
                .map { "\($0)" }.joined(separator: " ")
            let before = try #require(status.peers[0].agreement?.count)
            try await sleeper.shell("kill -STOP \(processes)")
            // An idle end sends something after 10 s, from which the 30 s count that it waits for an answer.
            try await Task.sleep(for: .seconds(45))
            try await sleeper.shell("kill -CONT \(processes)")
            let clock = ContinuousClock()
            let woken = clock.now
            try await eventually("keys that are agreed on", within: 20) {
                try await sleeper.status().peers[0].agreement?.count ?? 0 > before
            }
            let time = clock.now - woken
            print("keys after \(time)")
            #expect(time <= .seconds(3))
            try await sleeper.expectAnswer(from: "10.77.0.2")
        }
    }
}
