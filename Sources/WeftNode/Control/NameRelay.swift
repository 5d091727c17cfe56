// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftNames
import WeftPair

/// The data process' part in looking names up: reads the host's files, and has the sockets to resolvers. The control process asks by
/// them, and says neither whom nor how often. One thread uses it.
final class NameRelay {
    private let files: SystemNames
    private let sockets: DNSSockets
    private var served: ServedConfiguration
    /// Sockets of which the control process doesn't know yet that they will bring nothing.
    private var failed: [UInt32] = []

    /// At most so many of them are told of.
    private static let mostFailed = 1024

    /// - Parameter mark: of the tunnel's own datagrams, so that questions go past it.
    init(_ served: ServedConfiguration, mark: UInt32, files: SystemNames.Places = .init()) {
        self.files = SystemNames(mark: mark, places: files)
        sockets = DNSSockets(mark: mark)
        self.served = served
        set()
    }

    private func set() { files.set(served.names.values.map(\.host), resolvers: served.resolvers) }

    /// Readable (POLLIN) when something came from a resolver.
    var descriptors: [Int32] { sockets.descriptors }

    /// Looks the names of a changed file up from now on; they are to be told anew, as peers may have forgotten where they may be.
    func serve(_ new: ServedConfiguration) {
        served = new
        set()
    }

    /// Another control process begins: it knows of no socket.
    func begin() {
        sockets.closeAll()
        failed.removeAll()
    }

    /// Tells all names, and how they are looked up.
    func tell(_ end: DataEnd, at now: Instant) {
        _ = files.changed(at: now)
        sockets.setServers(files.servers)
        for (network, name) in served.names {
            let listed = files.listed[HostName.normal(name.host)] ?? []
            end.send(.name(network, .init(host: name.host, port: name.port, listed: listed)))
        }
        end.send(.namesComplete(files.settings))
    }

    /// Hands over what came from resolvers, and what the host's files say if that changed.
    func carry(to end: DataEnd, at now: Instant) throws(PairFailure) {
        guard !served.names.isEmpty else { return }
        if files.changed(at: now) { tell(end, at: now) }
        var answers: [(UInt32, [UInt8]?)] = []
        sockets.receive(at: now) { answers.append(($0, $1)) }
        answers += failed.map { ($0, nil) }
        failed.removeAll()
        // Resolvers are asked again, as after any loss.
        for (socket, answer) in answers { _ = try end.offer(.answer(socket: socket, answer)) }
    }

    /// Sends a question; whether it was one.
    func ask(
        _ bytes: [UInt8], by socket: UInt32, of resolver: IPAddress, over transport: DNSTransport, at now: Instant
    ) -> Bool {
        switch sockets.send(bytes, by: socket, to: resolver, over: transport, at: now) {
        case .done: return true
        case .failed:
            if failed.count < Self.mostFailed { failed.append(socket) }
            return true
        case .refused: return false
        }
    }

    func finish(_ socket: UInt32) { sockets.close(socket) }
}
