// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft

/// Servers' names being looked up, on a thread of their own: the system's resolver may take long, and can't be interrupted.
/// Who closes meanwhile leaves that thread behind; it then ends by itself.
final class STUNLookup {
    private final class Result: Sendable {
        let round = Mutex<STUNRound?>(nil)
    }

    private let result = Result()
    private var thread: WorkerThread?

    init(_ servers: [STUNServerName], clock: @escaping @Sendable () -> Instant) throws(TransportError) {
        let result = result
        guard servers.contains(where: \.needsResolver) else {
            result.round.withLock { $0 = STUNRound(servers: servers, clock: clock) }
            return
        }
        thread = try WorkerThread(name: "weft-resolve") {
            let round = STUNRound(servers: servers, clock: clock)
            result.round.withLock { $0 = round }
        }
    }

    /// The round that can begin now, once; nil while names are looked up.
    func take() -> STUNRound? {
        guard let round = result.round.withLock({ $0.take() }) else { return nil }
        thread.take()?.join()
        return round
    }
}
