// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Keys that are renewed every second")
    struct Renewal {
        /// All that a key that comes or goes could be to blame for.
        private static let keysReasons: [DropReason] = [
            .noTransmitKey, .transmitKeyExpired, .countersExhausted, .noReceiveKey, .receiveKeyExpired, .spiMismatch,
            .authenticationFailed, .replayed,
        ]

        /// As long for TCP as for UDP.
        private static let seconds = Int(ProcessInfo.processInfo.environment["WEFT_RENEWAL_SECONDS"] ?? "") ?? 5

        @Test("cost no packet and hold nothing up under iperf3")
        func traffic() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing(interface: ["RekeyInterval = 1"])
            // What the hosts sent before there were keys to renew.
            let early = [try await hosts.left.status(), try await hosts.right.status()]
            let server = try hosts.right.start(["iperf3", "--server", "--forceflush", "--bind", "10.77.0.2"])
            try await eventually("iperf3's server") { server.output.standardOutput.contains("listening") }

            let tcp = try await measure(["--congestion", "cubic", "--interval", "1"], hosts)
            #expect(tcp.intervals.count >= Self.seconds - 1)
            for interval in tcp.intervals {
                #expect(interval.sum.bytes > 0, "a stall of 1 s at \(interval.sum.start) s")
            }
            print("TCP: \(tcp.end.sum_received.map { $0.bits_per_second / 1e9 } ?? 0) Gbit/s")
            try await expectNothingLostToKeys(hosts, since: early, after: Self.seconds)

            // Datagrams of one packet each, both ways, at a rate that the buffers on the way can hold for a while.
            let before = try await unread(hosts)
            let udp = try await measure(
                ["--udp", "--bidir", "--bitrate", "100M", "--length", "1372", "--window", "4M"], hosts)
            let after = try await unread(hosts)
            let lost = [udp.end.sum, udp.end.sum_bidir_reverse].compactMap { $0?.lost_packets }.reduce(0, +)
            let sent = [udp.end.sum, udp.end.sum_bidir_reverse].compactMap { $0?.packets }.reduce(0, +)
            print("UDP: \(lost) of \(sent) lost, \(after - before) of them in full buffers of sockets and devices")
            #expect(sent > Self.seconds * 9000)
            #expect(lost <= after - before, "lost otherwise than in a full buffer")
            try await expectNothingLostToKeys(hosts, since: early, after: 2 * Self.seconds)
        }

        private func measure(_ options: [String], _ hosts: HostPair) async throws -> IperfReport {
            let command = ["iperf3", "--client", "10.77.0.2", "--time", "\(Self.seconds)", "--json"] + options
            let output = try await hosts.left.attempt(command, atMost: Double(Self.seconds) * 1.5 + 20)
            guard output.status == 0 else { throw TestFailure("\(output)") }
            return try JSONDecoder().decode(IperfReport.self, from: Data(output.standardOutput.utf8))
        }

        private func expectNothingLostToKeys(
            _ hosts: HostPair, since early: [Status], after seconds: Int
        ) async throws {
            for (host, early) in zip([hosts.left, hosts.right], early) {
                let status = try await host.status()
                let peer = status.peers[0]
                print(
                    "\(host.name): \(peer.agreement?.count ?? 0) agreements, \(peer.rx.packets) packets received, ",
                    "\(peer.tx.packets) sent, drops \(status.totals.drops)", separator: "")
                // A sanitizer takes the processor that an agreement needs.
                let least = UInt64(seconds) * (test_is_sanitized() != 0 ? 5 : 9) / 10
                #expect(peer.agreement?.count ?? 0 >= least)
                #expect(peer.agreement?.failures == 0)
                for reason in Self.keysReasons { #expect(status.drops(reason) == early.drops(reason), "\(reason)") }
            }
        }

        /// Datagrams that found a socket's or a device's buffer full, on both hosts.
        private func unread(_ hosts: HostPair) async throws -> Int {
            var count = 0
            for host in [hosts.left, hosts.right] {
                let status = try await host.status()
                count += Int(DropReason.allCases.filter(\.isTransportRefusal).reduce(0) { $0 + status.drops($1) })
                // Where the kernel counts what it threw away: sockets, and the device's queue towards us.
                let numbers = try await host.shell(
                    """
                    nstat -asz UdpRcvbufErrors UdpSndbufErrors | awk '/Udp/ { print $2 }'
                    cat /proc/net/dev | sed -n 's/^ *weft0: *//p' | awk '{ print $4, $12 }'
                    """)
                count += numbers.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.reduce(0, +)
            }
            return count
        }
    }
}

/// What of iperf3's report is looked at.
private struct IperfReport: Decodable {
    struct Sum: Decodable {
        let start: Double
        let bytes: Int
        let bits_per_second: Double
        let lost_packets: Int?
        let packets: Int?
    }

    struct Interval: Decodable { let sum: Sum }

    struct End: Decodable {
        let sum: Sum?
        let sum_received: Sum?
        let sum_bidir_reverse: Sum?
    }

    let intervals: [Interval]
    let end: End
}
