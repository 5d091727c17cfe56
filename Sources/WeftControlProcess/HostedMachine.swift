// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftNames
import WeftPair

/// A control machine in the control process, with what the pair needs of it.
protocol HostedMachine: AnyObject {
    var machine: any ControlMachine { get }
    /// The way to the engine.
    var port: RemoteEngine { get }
    var link: LinkKind { get }
    var end: ControlEnd { get }

    /// Says what changed since the last time.
    func tellStatus()
    /// The peers whose names should be looked up again, by their networks.
    func takeLookups() -> [NetworkID]
    /// A peer's name was looked up.
    func setCandidates(_ change: NameBook.Change, of network: NetworkID, at now: Instant)
    func addressesChanged(at now: Instant)
}

extension HostedMachine {
    var nextDeadline: Instant { machine.nextDeadline }

    func receive(_ datagram: Span<UInt8>, from source: AddressPair, at now: Instant) {
        machine.receive(datagram, from: source, now: now)
    }

    func advance(to now: Instant) { machine.advance(to: now) }

    func close(at now: Instant) { machine.close(at: now) }

    func flush(at now: Instant) {
        machine.flush(now: now) { datagram, target in
            end.send(.datagram(link, to: target, unsafe datagram.bytes.copied))
        }
    }
}
