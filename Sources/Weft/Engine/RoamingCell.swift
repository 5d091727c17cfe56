// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Where the peer was followed to, and to which of our addresses it speaks, until somebody asks.
final class RoamingCell: Sendable {
    private let source = Mutex<AddressPair?>(nil)

    func put(_ place: AddressPair) { source.withLock { $0 = place } }

    func take() -> AddressPair? {
        source.withLock { source in
            defer { source = nil }
            return source
        }
    }
}
