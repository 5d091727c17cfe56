// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftControl
import WeftQUIC
import WeftUDP

/// Plays many peers of one host: each with an identity, an engine and a port of its own, and nothing behind it.
///
///     weft-bench-peers PUBLIC-KEY COUNT FIRST-PORT
///
/// PUBLIC-KEY is the host's, which calls. Prints the peers' public keys, a line each, and goes on until it's killed.
@main
struct PeersBenchmark {
    /// One peer.
    final class End {
        let key: PublicKey
        let control: ControlPlane
        private let socket: UDPSocket
        private let receiver: UDPReceiver
        private var batch = FromUnderlay(capacity: 8, slotSize: 2048)

        init(of host: PublicKey, port: UInt16, wake: WakeEvent) throws {
            let identity = try Identity.generate()
            key = identity.publicKey
            let vni = ControlPeer.derivedVNI(key, host)
            let engine = try Engine(EngineConfiguration(lanes: 1))
            try engine.add(NetworkConfiguration(vni: vni, endpoint: nil, routes: []))
            control = try ControlPlane(key, over: QUICEndpoint(identity), engine: engine) { _ in }
            try control.setPeers([ControlPeer(publicKey: host, vni: vni)], at: SystemCall.now())
            socket = try UDPSocket(port: port, mark: 0, offloads: [])
            receiver = UDPReceiver(socket, wake: wake, batch: 8)
        }

        /// Does what there is to do, and doesn't wait; whether something came.
        func serve() throws -> Bool {
            batch.removeAll()
            try receiver.receive(into: &batch, timeout: 0)
            let now = SystemCall.now()
            guard !batch.buffers.isEmpty || control.nextDeadline <= now else { return false }
            for index in 0..<batch.buffers.count {
                let buffer = batch.buffers[index]
                let bytes = batch.arena.bytes.extracting(buffer.place.range).copy()
                control.receive(bytes.span, from: buffer.source, now: now)
            }
            control.advance(to: now)
            control.flush(now: now) { datagram, target in
                _ = socket.send(unsafe datagram.bytes, to: target.remote, from: target.local)
            }
            return !batch.buffers.isEmpty
        }
    }

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let host = try? PublicKey(arguments[1]), let count = Int(arguments[2]),
            let first = UInt16(arguments[3]), count > 0, Int(first) + count <= 65536
        else {
            print("usage: weft-bench-peers PUBLIC-KEY COUNT FIRST-PORT")
            exit(2)
        }
        let wake = try WakeEvent()
        let ends = try (0..<count).map { try End(of: host, port: first + UInt16($0), wake: wake) }
        print(ends.map(\.key.description).joined(separator: "\n"))
        fflush(nil)
        while true {
            var isBusy = false
            for end in ends where try end.serve() { isBusy = true }
            // Seldom, since this takes part of the processor that is measured beside it.
            if !isBusy { usleep(20_000) }
        }
    }
}

extension RawSpan {
    fileprivate func byte(at offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    fileprivate func copy() -> [UInt8] { (0..<byteCount).map { byte(at: $0) } }
}
