// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("A host that sleeps")
    struct Sleep {
        private struct Sleeper {
            let hosts: HostPair
            /// Whether it is the one that calls.
            let calls: Bool
            let processes: String
            let agreements: UInt64

            init(calls: Bool) async throws {
                hosts = try await HostPair()
                self.calls = calls
                try await hosts.bringUpAgreeing(calls: (calls, !calls))
                let status = try await hosts.left.status()
                processes = [status.processID, status.control?.processID, status.control?.spawnerID].compactMap(\.self)
                    .map { "\($0)" }.joined(separator: " ")
                agreements = try #require(status.peers[0].agreement?.count)
            }

            func wake() async throws {
                try await hosts.left.shell("kill -CONT \(processes)")
                let clock = ContinuousClock()
                let woken = clock.now
                try await eventually("keys that are agreed on, \(calls)", within: 20) {
                    try await hosts.left.status().peers[0].agreement?.count ?? 0 > agreements
                }
                let time = clock.now - woken
                print("keys after \(time)")
                #expect(time <= .seconds(3), "who calls sleeps: \(calls)")
                try await hosts.left.expectAnswer(from: "10.77.0.2")
            }
        }

        /// Nothing of the end runs for longer than sessions live without a datagram, and the clock goes on, as in a suspend.
        @Test("has keys again within 3 s of its return, whoever calls")
        func returns() async throws {
            let sleepers = [try await Sleeper(calls: true), try await Sleeper(calls: false)]
            for sleeper in sleepers { try await sleeper.hosts.left.shell("kill -STOP \(sleeper.processes)") }
            // An idle end sends something after 10 s, from which the 30 s count that it waits for an answer.
            try await Task.sleep(for: .seconds(45))
            for sleeper in sleepers { try await sleeper.wake() }
        }
    }
}
