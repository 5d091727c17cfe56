// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftDNS
import WeftNames
import WeftPair

/// Looks names of peers up by sockets of the data process.
final class RemoteNames {
    private let end: ControlEnd
    private let channel: DNSChannel
    private let book: NameBook
    /// The names of a list that comes in parts.
    private var coming: [UInt32: NameBook.Wanted] = [:]

    /// - Parameter channel: was made before the sandbox.
    init(_ channel: DNSChannel, _ end: ControlEnd) {
        self.channel = channel
        self.end = end
        book = NameBook(channel) { end.send(.log($0)) }
        channel.setWay(
            .init(
                send: { end.send(.question(socket: $1, resolver: $2, $3, $0)) },
                close: { end.send(.questionDone(socket: $0)) }))
    }

    func add(_ name: NameBook.Wanted, of network: NetworkID) { coming[network.rawValue] = name }

    func complete(_ settings: ResolverSettings, at now: Instant) {
        book.set(coming, settings, at: now)
        coming.removeAll()
    }

    func receive(_ answer: [UInt8]?, by socket: UInt32) {
        if let answer { channel.receive(answer, by: socket) } else { channel.fail(socket) }
    }

    /// Does what is due, and tells machines what became of their peers' names.
    func advance(to now: Instant, _ machines: [any HostedMachine], _ machine: (NetworkID) -> (any HostedMachine)?) {
        for machine in machines { for network in machine.takeLookups() { book.want(network.rawValue) } }
        book.advance(to: now)
        for change in book.takeChanges() {
            guard let network = NetworkID(rawValue: change.peer) else { continue }
            end.send(
                .nameStatus(
                    network,
                    NameStatusRecord(
                        addresses: change.places.map(\.address), failure: change.failure, isRenamed: change.isRenamed)))
            if !change.places.isEmpty { machine(network)?.setCandidates(change, of: network, at: now) }
        }
    }
}
