// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import Weft
import WeftLink

@testable import WeftXDP

/// An AF_XDP data path in this process, in the network of the thread that makes it. It loses a quarter of the packets
/// that it receives, and its rings are small, so that they overflow.
final class LossyDatapath: Sendable {
    let engine: Engine
    let datapath: XDPDatapath
    private let ended = Mutex<String?>(nil)
    private let isRunning = Atomic(true)

    init(_ file: TunnelText, seed: UInt64) throws {
        engine = try Engine(
            EngineConfiguration(mode: XDPDatapath.layer2Mode(), lanes: XDPDatapath.lanes(queues: 4)))
        try file.addNetwork(to: engine)
        var configuration = XDPConfiguration(
            name: "weft0", addresses: [try InterfaceAddress("10.77.0.1/24").orFail()], mtu: 1400)
        configuration.options.ringSize = 64
        datapath = try XDPDatapath(configuration, engine: engine, dropper: FrameDropper(seed: seed, share: 64))
        // A thread keeps the network of the one that makes it.
        Thread { [self] in
            do throws(DatapathError) {
                try datapath.run()
            } catch {
                ended.withLock { $0 = error.description }
            }
            isRunning.store(false, ordering: .releasing)
        }.start()
    }

    deinit { datapath.close() }

    /// Why it ended; nil while it runs, and after a clean stop.
    var failure: String? { ended.withLock { $0 } }

    /// Packets that the engine has seen.
    var moved: UInt64 {
        let totals = engine.totals()
        return totals.fromOverlay + totals.fromUnderlay
    }

    /// Stops it and waits until it has ended.
    func stop() {
        datapath.close()
        while isRunning.load(ordering: .acquiring) { usleep(1000) }
    }
}

extension Optional where Wrapped: Sendable {
    /// The value, or a failure of the test.
    func orFail() throws -> Wrapped {
        guard let self else { throw TestFailure("no value") }
        return self
    }
}
