// SPDX-License-Identifier: Apache-2.0
import Weft

extension OverlayNetwork {
    /// What a name stands for on the overlay, IPv6 first, by its resolvers; only families that the overlay has are asked for.
    /// - Parameter deadline: when it is given up.
    public func addresses(of name: String, deadline: Instant) async throws(OverlaySocketError) -> [IPAddress] {
        guard !resolvers.isEmpty else {
            throw .noSuchName("\(name): no resolver is known on the overlay: say DNS in the tunnel file")
        }
        var found: [IPAddress] = []
        var refusal: OverlaySocketError?
        for family in [IPAddress.Family.v6, .v4] where addresses.contains(where: { $0.family == family }) {
            do throws(OverlaySocketError) {
                found += try await ask(name, family, until: deadline)
            } catch .cancelled {
                throw .cancelled
            } catch {
                refusal = refusal ?? error
            }
        }
        guard found.isEmpty else { return found }
        throw refusal ?? .noSuchName("\(name): no address")
    }

    /// Opens a TCP connection to a name: to one of its addresses after the other, 5 seconds each.
    public func connect(
        to name: String, port: UInt16, deadline: Instant
    ) async throws(OverlaySocketError) -> any OverlayStream {
        var last = OverlaySocketError.unreachable
        for address in try await addresses(of: name, deadline: deadline) {
            do throws(OverlaySocketError) {
                return try await connect(
                    to: Endpoint(address, port: port),
                    deadline: min(deadline, SystemCall.now().advanced(by: .seconds(5))))
            } catch .cancelled {
                throw .cancelled
            } catch {
                last = error
            }
        }
        throw last
    }

    /// Asks each resolver in turn, twice, 2 seconds each.
    private func ask(
        _ name: String, _ family: IPAddress.Family, until deadline: Instant
    ) async throws(OverlaySocketError) -> [IPAddress] {
        guard let question = DNSMessage(name, family, number: .random(in: .min ... .max)) else {
            throw .noSuchName("\(name): not a name")
        }
        for _ in 0..<2 {
            for resolver in resolvers {
                let until = min(deadline, SystemCall.now().advanced(by: .seconds(2)))
                do throws(OverlaySocketError) {
                    switch try await answer(to: question, from: Endpoint(resolver, port: 53), until: until) {
                    case .addresses(let found): return found
                    case .refused(3): throw .noSuchName("\(name): no such name")
                    case .refused, .truncated: break
                    }
                } catch .cancelled {
                    throw .cancelled
                } catch .noSuchName(let why) {
                    throw .noSuchName(why)
                } catch {
                    // The next one may do better.
                }
                if SystemCall.now() >= deadline { throw .timedOut }
            }
        }
        throw .noSuchName("\(name): no resolver answers")
    }

    private func answer(
        to question: DNSMessage, from resolver: Endpoint, until deadline: Instant
    ) async throws(OverlaySocketError) -> DNSMessage.Outcome {
        let any = resolver.address.family == .v4 ? IPAddress(v4: 0) : IPAddress(v6: 0, 0)
        let socket = try openDatagrams(on: Endpoint(any, port: 0))
        defer { socket.close() }
        socket.setDeadline(deadline)
        try await socket.send(OverlayDatagram(question.bytes, with: resolver))
        while true {
            for datagram in try await socket.receive(atMost: 8) where datagram.endpoint == resolver {
                guard let outcome = question.outcome(in: datagram.payload) else { continue }
                return outcome == .truncated ? try await wholeAnswer(to: question, resolver, deadline) : outcome
            }
        }
    }

    /// Over TCP, with the length in front (RFC 1035 section 4.2.2).
    private func wholeAnswer(
        to question: DNSMessage, _ resolver: Endpoint, _ deadline: Instant
    ) async throws(OverlaySocketError) -> DNSMessage.Outcome {
        let stream = try await connect(to: resolver, deadline: deadline)
        defer { stream.close() }
        stream.setDeadline(deadline)
        let count = question.bytes.count
        try await stream.write(
            [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + question.bytes)
        var answer: [UInt8] = []
        while true {
            let more = try await stream.read(atMost: 65537)
            guard !more.isEmpty else { throw .reset }
            answer += more
            guard answer.count >= 2 else { continue }
            let length = Int(answer[0]) << 8 | Int(answer[1])
            guard answer.count >= 2 + length else { continue }
            return question.outcome(in: Array(answer[2..<2 + length])) ?? .refused(1)
        }
    }
}
