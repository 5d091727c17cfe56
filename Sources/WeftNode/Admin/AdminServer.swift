// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftCommand

/// Requests over a tunnel's socket: one line each.
enum AdminRequest: Equatable {
    /// Answered with ``Status`` as JSON.
    case status(listingNetworks: Bool)
    /// Answered with `ok`; the connection closes when the tunnel is gone.
    case stop
    /// Applies the tunnel's file. Answered with a line `good` or `bad`, and then what changed or why nothing did.
    case reload
    /// Answered as above with what a file would change.
    case plan(path: String)

    /// Longer requests are no requests.
    static let limit = 4200

    /// Reads a request from bytes that anyone may have sent.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= Self.limit, bytes.last == UInt8(ascii: "\n") else { return nil }
        let line = String(decoding: bytes.dropLast(), as: UTF8.self)
        switch line {
        case "status": self = .status(listingNetworks: false)
        case "status networks": self = .status(listingNetworks: true)
        case "stop": self = .stop
        case "reload": self = .reload
        default:
            guard line.hasPrefix("plan /") else { return nil }
            self = .plan(path: String(line.dropFirst(5)))
        }
    }
}

/// Answers at a tunnel's socket, one connection after the other. Only the socket's owner can connect.
final class AdminServer: NodeService {
    let name = "weft-admin"
    private let socket: UnixSocket
    private let path: String
    private let wake: WakeEvent
    private let status: @Sendable (_ listingNetworks: Bool) -> Status
    private let stop: @Sendable () -> Void
    private let isOpen = Atomic(true)
    private let reload: @Sendable (_ plan: String?) -> (text: String, isGood: Bool)

    init(
        name tunnel: String, status: @escaping @Sendable (_ listingNetworks: Bool) -> Status,
        stop: @escaping @Sendable () -> Void,
        reload: @escaping @Sendable (_ plan: String?) -> (text: String, isGood: Bool)
    ) throws(TransportError) {
        path = RuntimeFolder.socket(of: tunnel)
        socket = try UnixSocket.listen(at: path)
        wake = try WakeEvent()
        self.status = status
        self.stop = stop
        self.reload = reload
    }

    /// Serves until ``close()``. A connection that asked to stop stays open as long as the process lives.
    func run() {
        var waiting: [Int32] = []
        while true {
            let state = try? wake.wait(for: socket.descriptor.raw, events: POLLIN, timeout: -1)
            if state == .woken { return }
            guard state == .ready, let connection = socket.accept() else { continue }
            switch AdminRequest(connection.read(limit: AdminRequest.limit, until: UInt8(ascii: "\n"))) {
            case .status(let listingNetworks): connection.write(JSON.text(status(listingNetworks)) + "\n")
            case .stop:
                connection.write("ok\n")
                // A duplicate that nothing closes before the process ends.
                waiting.append(dup(connection.descriptor.raw))
                stop()
            case .reload: connection.write(Self.answer(reload(nil)))
            case .plan(let path): connection.write(Self.answer(reload(path)))
            case nil: connection.write("unknown request\n")
            }
        }
    }

    private static func answer(_ outcome: (text: String, isGood: Bool)) -> String {
        "\(outcome.isGood ? "good" : "bad")\n\(outcome.text)\n"
    }

    /// Ends ``run()`` and takes the socket away. Twice is harmless: a successor's socket stays.
    func close() {
        guard isOpen.exchange(false, ordering: .relaxed) else { return }
        wake.signal()
        unsafe unlink(path)
    }
}

/// Talks to a running tunnel.
package enum AdminClient {
    /// The tunnel's status, with each network that a key server granted if that is asked for; nil when it isn't up.
    package static func status(of name: String, listingNetworks: Bool = false) -> [UInt8]? {
        guard let socket = UnixSocket.connect(to: RuntimeFolder.socket(of: name)) else { return nil }
        socket.write(listingNetworks ? "status networks\n" : "status\n")
        let answer = socket.read(limit: 64 << 20)
        return answer.isEmpty ? nil : answer
    }

    /// Lets a tunnel apply its file, or say what the file at a path would change; nil when it isn't up.
    package static func reload(_ name: String, planning path: String? = nil) -> (text: String, isGood: Bool)? {
        guard let socket = UnixSocket.connect(to: RuntimeFolder.socket(of: name)) else { return nil }
        socket.write(path.map { "plan \($0)\n" } ?? "reload\n")
        let lines = String(decoding: socket.read(limit: 1 << 20), as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: true)
        guard let verdict = lines.first else { return nil }
        return (lines.dropFirst().joined(separator: "\n"), verdict == "good")
    }

    /// Stops a tunnel and waits until it is gone; false when it isn't up.
    package static func stop(_ name: String) -> Bool {
        guard let socket = UnixSocket.connect(to: RuntimeFolder.socket(of: name)) else { return false }
        socket.write("stop\n")
        _ = socket.read(limit: AdminRequest.limit)
        return true
    }
}
