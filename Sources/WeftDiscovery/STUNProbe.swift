// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftUDP

/// Asks servers from a socket of its own, as `weft stun` does.
public enum STUNProbe {
    /// Returns when all have answered or none will any more, seconds later at most.
    /// - Throws: when there is no socket to ask from.
    public static func run(
        _ servers: [STUNServerName], timing: STUNClient.Timing = .init()
    ) throws(DatapathError) -> STUNRound {
        let socket = try UDPSocket(port: 0)
        defer { socket.close() }
        do throws(TransportError) {
            let wake = try WakeEvent()
            let receiver = UDPReceiver(socket, wake: wake)
            let sender = UDPSender(socket, wake: wake)
            var round = STUNRound(servers: servers, timing: timing, clock: SystemCall.now)
            var requests = ToUnderlay(capacity: 1, room: 0)
            var answers = FromUnderlay()
            while true {
                round.sendRequests(at: SystemCall.now()) { bytes, server in
                    var failure: SendFailure?
                    requests.removeAll()
                    requests.append(bytes, to: server)
                    sender.send(requests) { _, _, reason in failure = reason }
                    return failure
                }
                if round.isDone { return round }
                answers.removeAll()
                try receiver.receive(
                    into: &answers, timeout: round.timeout(at: SystemCall.now(), longest: 1000))
                for index in 0..<answers.buffers.count {
                    let buffer = answers.buffers[index]
                    for start in stride(from: 0, to: buffer.place.count, by: buffer.segmentSize) {
                        let end = min(start + buffer.segmentSize, buffer.place.count)
                        let place = buffer.place.offset + start..<buffer.place.offset + end
                        round.client.receive(
                            answers.arena.bytes.extracting(place).copied, from: buffer.source,
                            at: SystemCall.now())
                    }
                }
            }
        } catch {
            throw .transport(error)
        }
    }
}
