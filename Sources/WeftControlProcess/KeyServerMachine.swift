// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftNames
import WeftPair

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
