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

/// Grants networks to initiators.
final class KeyServerMachine: HostedMachine {
    let responder: KeyResponder
    let port: RemoteEngine
    let link: LinkKind
    let end: ControlEnd
    var machine: any ControlMachine { responder }
    private var numbers: [PublicKey: UInt32]
    private var told: [UInt32: InitiatorStatusRecord] = [:]
    private var turnedAwayTold: UInt64 = 0

    init(
        _ list: InitiatorList, _ link: LinkKind, over transport: any SessionTransport, _ end: ControlEnd,
        at now: Instant
    ) {
        self.link = link
        self.end = end
        numbers = list.numbers
        port = RemoteEngine(link) { end.send($0) }
        port.setNumbers(list.numbers)
        responder = KeyResponder(list.configuration, over: transport, port: port) { end.send(.log($0)) }
        responder.setInitiators(list.initiators, at: now)
        responder.resume(list.networks, at: now)
    }

    func setInitiators(_ list: InitiatorList, at now: Instant) {
        // Those that go are still called by their numbers while their networks are taken back.
        port.setNumbers(numbers.merging(list.numbers) { _, new in new })
        responder.setInitiators(list.initiators, list.configuration, at: now)
        numbers = list.numbers
        port.setNumbers(numbers)
        let known = Set(numbers.values)
        told = told.filter { known.contains($0.key) }
    }

    func tellStatus() {
        for status in responder.statuses() {
            guard let number = numbers[status.publicKey] else { continue }
            let record = InitiatorStatusRecord(status)
            guard told[number] != record else { continue }
            told[number] = record
            end.send(.initiatorStatus(number: number, record))
        }
        if responder.turnedAway != turnedAwayTold {
            turnedAwayTold = responder.turnedAway
            end.send(.turnedAway(link, turnedAwayTold))
        }
    }

    func takeLookups() -> [NetworkID] { [] }

    func setCandidates(_ change: NameBook.Change, of network: NetworkID, at now: Instant) {}

    func addressesChanged(at now: Instant) {}
}
