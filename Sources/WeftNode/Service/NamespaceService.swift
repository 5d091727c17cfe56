// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftPrivate

/// Notices when the process that keeps a private network has ended: packets still flow then, but nothing more can be opened.
final class NamespaceService: NodeService {
    let name = "weft-private"
    private let namespace: PrivateNamespace
    private let wake: WakeEvent

    init(_ namespace: PrivateNamespace) throws(TransportError) {
        self.namespace = namespace
        wake = try WakeEvent()
    }

    func run() throws(ServiceFailure) {
        // An interrupted wait is no end.
        while true {
            switch try? wake.wait(for: namespace.processDescriptor, events: POLLIN, timeout: -1) {
            case .woken: return
            case .ready:
                throw ServiceFailure("the process that keeps the private network has ended: somebody killed it")
            case .timedOut: break
            // Out of memory, at worst: later there may be some.
            case nil: usleep(100_000)
            }
        }
    }

    func close() { wake.signal() }
}
