// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftControl
import WeftKeys
import WeftQUIC
import WeftUDP

/// Many peers of one host, each with an identity and a port of its own, in this process: they agree on keys when they are called.
final class PeerCrowd: Sendable {
    private let loops: [ControlLoop<ControlPlane>]
    private let threads: Mutex<[WorkerThreadBox]>
    let keys: [String]

    private final class WorkerThreadBox: Sendable {
        private let thread: Mutex<WorkerThread?>

        init(_ body: @escaping @Sendable () -> Void) throws {
            thread = Mutex(try WorkerThread(name: "peer", body))
        }

        func join() { thread.withLock { $0.take() }?.join() }
    }

    /// To be called in the network that they are in.
    init(of host: String, count: Int, firstPort: UInt16) throws {
        let host = try PublicKey(host)
        var loops: [ControlLoop<ControlPlane>] = []
        var keys: [String] = []
        for number in 0..<count {
            let identity = try Identity.generate()
            let key = identity.publicKey
            let wake = try WakeEvent()
            let vni = ControlPeer.derivedVNI(key, host)
            let engine = try Engine(EngineConfiguration(lanes: 1))
            try engine.add(NetworkConfiguration(vni: vni, endpoint: nil, routes: []))
            let transport = try QUICEndpoint(identity)
            loops.append(
                try ControlLoop(over: OwnPort(port: firstPort + UInt16(number), wake: wake), wake: wake) {
                    let control = ControlPlane(key, over: transport, engine: engine) { _ in }
                    try control.setPeers([ControlPeer(publicKey: host, vni: vni)], at: SystemCall.now())
                    return control
                })
            keys.append(key.description)
        }
        self.keys = keys
        self.loops = loops
        threads = Mutex([])
        for loop in loops {
            let thread = try WorkerThreadBox { loop.run() }
            threads.withLock { $0.append(thread) }
        }
    }

    func close() {
        for loop in loops { loop.close() }
        threads.withLock { threads in
            for thread in threads { thread.join() }
            threads.removeAll()
        }
    }
}
