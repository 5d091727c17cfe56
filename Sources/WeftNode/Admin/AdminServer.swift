// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftConfig
import WeftFiles

/// Answers at a tunnel's socket, to which only the socket's owner and root can connect.
///
/// One thread serves all connections side by side; none can hold up the others, nor stay longer than its time.
final class AdminServer: NodeService {
    /// What it asks of the tunnel.
    protocol Tunnel: AnyObject, Sendable {
        /// The path of its file, absolute.
        var filePath: String { get }
        /// ``Status`` as JSON.
        func statusText(listingNetworks: Bool) -> String
        /// Applies its file, from what another process opened and `trust` believes.
        func reload(_ file: OpenTunnelFile, trusting trust: FileTrust) -> (text: String, isGood: Bool)
        /// What a file would change.
        func plan(_ file: OpenTunnelFile, trusting trust: FileTrust) -> (text: String, isGood: Bool)
        /// What on the host isn't as it should be, a line each, and whether that is nothing.
        func differences() -> (text: String, isGood: Bool)
    }

    let name = "weft-admin"
    private let socket: UnixSocket
    /// The socket's folder, which the process may not reach by its path any more when the socket is to go.
    private let folder: FileDescriptor
    private let file: String
    private let wake: WakeEvent
    // The server is one of the tunnel's services, which are gone before it is.
    private unowned let tunnel: any Tunnel
    private let stop: @Sendable (_ keepingGuard: Bool) -> Void
    private let isOpen = Atomic(true)

    /// More wait until one of these is done.
    static let mostConnections = 16

    /// - Parameters:
    ///   - path: where the socket is made.
    ///   - stop: called when somebody asks for the tunnel's end.
    init(
        at path: String, of tunnel: any Tunnel, stop: @escaping @Sendable (_ keepingGuard: Bool) -> Void
    ) throws(TransportError) {
        let slash = path.lastIndex(of: "/")
        let parent = slash.map { String(path[..<$0]) } ?? "."
        file = slash.map { String(path[path.index(after: $0)...]) } ?? path
        // The kernel only reads the path, which lives as long as the call.
        folder = FileDescriptor(
            owning: try SystemCall.retrying("open \(parent)") {
                unsafe open(parent == "" ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            })
        socket = try UnixSocket.listen(at: path)
        wake = try WakeEvent()
        self.tunnel = tunnel
        self.stop = stop
    }

    /// Serves until ``close()``. A connection that asked to stop stays open as long as the process lives.
    func run() {
        var connections: [AdminConnection] = []
        while isOpen.load(ordering: .relaxed) {
            var polled = connections.map(\.interest)
            let isFull = connections.count >= Self.mostConnections
            polled.append(pollfd(fd: isFull ? -1 : socket.descriptor.raw, events: Int16(POLLIN), revents: 0))
            let timeout: Int32 = connections.contains { $0.deadline != nil } ? 100 : -1
            do throws(TransportError) {
                if try wake.wait(forAny: &polled, timeout: timeout) == .woken { return }
            } catch {
                // Out of memory, at worst: later there may be some.
                usleep(100_000)
                continue
            }
            let now = SystemCall.now()
            let ready = zip(connections, polled).filter { $1.revents != 0 }.map(\.0)
            let done = ready.filter { !step($0, at: now) }
            connections.removeAll { connection in
                done.contains { $0 === connection } || connection.deadline.map { now >= $0 } ?? false
            }
            if polled.last?.revents != 0, let new = socket.accept() {
                connections.append(AdminConnection(new, at: now))
            }
        }
    }

    /// Goes on with a connection; false once it is done.
    private func step(_ connection: AdminConnection, at now: Instant) -> Bool {
        if connection.isAnswering { return connection.send() }
        switch connection.receive() {
        case .nothing: return true
        case .gone: return false
        case .garbage: connection.answer("unknown request\n", at: now)
        case .request(.status(let listingNetworks), _):
            connection.answer(tunnel.statusText(listingNetworks: listingNetworks) + "\n", at: now)
        case .request(.file, _): connection.answer(tunnel.filePath + "\n", at: now)
        case .request(.differences, _): connection.answer(Self.text(of: tunnel.differences()), at: now)
        case .request(.stop(let keepingGuard), _):
            connection.answerAndStay("ok\n")
            stop(keepingGuard)
        case .request(.reload(let names), let files):
            connection.answer(Self.answer(names, files, connection.caller, tunnel.reload), at: now)
        case .request(.plan(let names), let files):
            connection.answer(Self.answer(names, files, connection.caller, tunnel.plan), at: now)
        }
        return connection.send()
    }

    private static func answer(
        _ names: [String], _ files: [SharedDescriptor], _ caller: uid_t?,
        _ apply: (OpenTunnelFile, FileTrust) -> (text: String, isGood: Bool)
    ) -> String {
        guard let caller, names.count == files.count, let file = files.first, let path = names.first else {
            return "bad\nthe files didn't come along\n"
        }
        let named = zip(names, files).dropFirst().map { OpenTunnelFile.Named(name: $0, descriptor: $1) }
        return text(of: apply(OpenTunnelFile(path: path, file: file, named: named), FileTrust(of: caller)))
    }

    private static func text(of outcome: (text: String, isGood: Bool)) -> String {
        "\(outcome.isGood ? "good" : "bad")\n\(outcome.text)\n"
    }

    /// Ends ``run()`` and takes the socket away. Twice is harmless: a successor's socket stays.
    func close() {
        guard isOpen.exchange(false, ordering: .relaxed) else { return }
        wake.signal()
        _ = unsafe unlinkat(folder.raw, file, 0)
    }
}
