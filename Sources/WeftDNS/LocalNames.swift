// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftNames

/// Keeps names looked up in one process, with sockets of its own: for programs that run control machines themselves. One thread
/// uses it.
public final class LocalNames {
    private let files: SystemNames
    private let sockets: DNSSockets
    private let channel: DNSChannel
    private let book: NameBook
    private var names: [UInt32: NameBook.Wanted] = [:]
    private var resolvers: [IPAddress] = []

    /// - Parameters:
    ///   - mark: SO_MARK of questions, so that they go past a tunnel; 0 for none.
    ///   - files: where the host's files are.
    ///   - port: the resolvers'.
    ///   - log: takes a line for people.
    public init(
        mark: UInt32 = 0, files places: SystemNames.Places = .init(), port: UInt16 = ResolverSettings.port,
        log: @escaping (String) -> Void
    ) throws(DNSChannelError) {
        files = SystemNames(mark: mark, places: places)
        let sockets = DNSSockets(mark: mark, port: port)
        self.sockets = sockets
        channel = try DNSChannel()
        book = NameBook(channel, log: log)
        channel.setWay(
            .init(
                send: { [unowned channel] bytes, socket, resolver, transport in
                    let now = SystemCall.now()
                    if sockets.send(bytes, by: socket, to: resolver, over: transport, at: now) != .done {
                        // Not from within c-ares' own call.
                        channel.failLater(socket)
                    }
                }, close: { sockets.close($0) }))
    }

    /// Sets whose names are looked up: host and port, by a number of the caller's.
    /// - Parameter resolvers: who is asked instead of those that the host's files name; none for those.
    public func set(_ names: [UInt32: (host: String, port: UInt16)], resolvers: [IPAddress] = [], at now: Instant) {
        self.names = names.mapValues { NameBook.Wanted(host: $0.host, port: $0.port) }
        self.resolvers = resolvers
        files.set(names.values.map(\.host), resolvers: resolvers)
        _ = files.changed(at: now)
        tell(at: now)
    }

    /// Has a name asked for again, as its peer is silent.
    public func want(_ peer: UInt32) { book.want(peer) }

    /// Does what is due; what became of names since the last time. Call it every 50 ms.
    public func advance(to now: Instant) -> [NameBook.Change] {
        if files.changed(at: now) { tell(at: now) }
        sockets.receive(at: now) { socket, answer in
            if let answer { channel.receive(answer, by: socket) } else { channel.fail(socket) }
        }
        book.advance(to: now)
        return book.takeChanges()
    }

    private func tell(at now: Instant) {
        sockets.setServers(files.servers)
        for (peer, name) in names { names[peer]?.listed = files.listed[HostName.normal(name.host)] ?? [] }
        book.set(names, files.settings, at: now)
    }
}
