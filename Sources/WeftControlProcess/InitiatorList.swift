// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftNames
import WeftPair

/// Initiators of a file, in a list that comes in parts.
struct InitiatorList {
    var configuration: KeyResponder.Configuration
    var initiators: [AuthorizedInitiator] = []
    var numbers: [PublicKey: UInt32] = [:]
    var granted: [GrantRecord] = []

    init(_ link: LinkKind = .shared, lifetime: Duration = .zero, dataPort: UInt16? = nil) {
        configuration = .init(localPrefixes: [], lifetime: lifetime, dataPort: dataPort)
    }

    mutating func add(_ initiator: AuthorizedInitiator, number: UInt32) {
        initiators.append(initiator)
        numbers[initiator.publicKey] = number
    }

    mutating func add(_ prefix: Prefix) {
        guard !initiators.isEmpty else { return }
        initiators[initiators.count - 1].prefixes.append(prefix)
    }

    /// What was granted before, under the holders' keys.
    var networks: [GrantedNetwork] {
        let keys = Dictionary(numbers.map { ($0.value, $0.key) }) { first, _ in first }
        return granted.compactMap { grant in
            keys[grant.initiator].map { key in
                GrantedNetwork(
                    vni: grant.vni, address: grant.address, holder: key, endpoint: grant.endpoint,
                    localAddress: grant.localAddress, isReceiveOnly: grant.isReceiveOnly, expiry: grant.expiry)
            }
        }
    }
}
