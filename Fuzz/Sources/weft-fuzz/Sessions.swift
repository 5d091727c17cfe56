// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftQUIC

/// Datagrams from anyone to a QUIC endpoint: it neither stops nor keeps anything for them.
final class Sessions {
    private let endpoint: QUICEndpoint
    private var now = Instant(nanoseconds: 1_000_000_000)

    init() throws {
        endpoint = try QUICEndpoint(Identity.generate())
        endpoint.authorize([try Identity.generate().publicKey: PeerTerms(streams: 4, speaks: .firstRelease)])
    }

    func run(_ input: RawSpan) {
        let bytes = input.array()
        now = now.advanced(by: .milliseconds(1))
        endpoint.receive(bytes.span, from: Endpoint(IPAddress(v4: 0xC000_0201), port: 4711), now: now)
        endpoint.advance(to: now)
        endpoint.flush(now: now) { answer, _ in
            check(answer.count <= max(3 * bytes.count, 1200), "\(answer.count) bytes for \(bytes.count)")
        }
        check(endpoint.connectionCount == 0, "a stranger is remembered")
    }

    /// A first packet, as a dialler sends it, and a short one.
    static func seeds() throws -> [[UInt8]] {
        let dialer = try QUICEndpoint(Identity.generate())
        var seeds: [[UInt8]] = [[0x40, 0x51] + [UInt8](repeating: 7, count: 40)]
        let now = Instant(nanoseconds: 1_000_000_000)
        _ = dialer.dial(
            try Identity.generate().publicKey, at: Endpoint(IPAddress(v4: 0xC000_0202), port: 6081), now: now)
        dialer.flush(now: now) { datagram, _ in seeds.append(datagram.indices.map { datagram[$0] }) }
        return seeds
    }
}
