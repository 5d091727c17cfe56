// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftSockets

/// Whom SOCKS5 serves.
public struct SOCKS5Login: Sendable {
    let user: [UInt8]
    let password: [UInt8]

    public init(user: String, password: String) {
        (self.user, self.password) = (Array(user.utf8), Array(password.utf8))
    }

    /// Takes as long for any that are as long.
    func admits(_ user: [UInt8], _ password: [UInt8]) -> Bool {
        Self.areEqual(user, self.user) & Self.areEqual(password, self.password) == 1
    }

    private static func areEqual(_ one: [UInt8], _ other: [UInt8]) -> UInt8 {
        var difference: UInt8 = one.count == other.count ? 0 : 1
        for (left, right) in zip(one, other) { difference |= left ^ right }
        return difference == 0 ? 1 : 0
    }
}

extension Proxy {
    /// Speaks SOCKS5 with all who come: CONNECT and UDP ASSOCIATE.
    /// - Parameter login: whom it serves; nil for whoever comes.
    public func serveSOCKS5(_ listener: any OverlayListener, for login: SOCKS5Login?) {
        serve(listener) { proxy, stream in
            var conversation = SOCKS5Conversation(stream, proxy, login)
            do throws(OverlaySocketError) { try await conversation.run() } catch { stream.abort() }
        }
    }
}

/// What is said with one client.
struct SOCKS5Conversation {
    private let stream: any OverlayStream
    private let proxy: Proxy
    private let login: SOCKS5Login?
    private var buffer: [UInt8] = []

    init(_ stream: any OverlayStream, _ proxy: Proxy, _ login: SOCKS5Login?) {
        (self.stream, self.proxy, self.login) = (stream, proxy, login)
    }

    mutating func run() async throws(OverlaySocketError) {
        stream.setDeadline(Proxy.deadline)
        let methods = try await next { SOCKS5Message.methods($0) }
        let method: UInt8 = login == nil ? 0 : 2
        guard methods.contains(method) else {
            try await stream.write([5, 0xFF])
            return stream.close()
        }
        try await stream.write([5, method])
        if let login {
            let said = try await next { SOCKS5Message.login($0) }
            let isAdmitted = login.admits(said.user, said.password)
            try await stream.write([1, isAdmitted ? 0 : 1])
            guard isAdmitted else { return stream.close() }
        }
        let request = try await next { SOCKS5Message.request($0) }
        guard let command = request.command, command != .bind else { return try await refuse(.noSuchCommand) }
        guard let target = request.target else { return try await refuse(.noSuchAddress) }
        if command == .associate { return try await associate() }
        let other: any OverlayStream
        do throws(OverlaySocketError) { other = try await proxy.connect(target) } catch {
            return try await refuse(Self.reply(to: error))
        }
        try await stream.write(SOCKS5Message.reply(.done, other.localEndpoint))
        stream.setDeadline(nil)
        // Who didn't wait for the reply has said more by now.
        if !buffer.isEmpty { try await other.write(buffer) }
        await Relay.join(stream, other)
    }

    /// Reads until a message is there, and takes it.
    private mutating func next<Value>(
        _ read: ([UInt8]) -> SOCKS5Message.Reading<Value>
    ) async throws(OverlaySocketError) -> Value {
        while true {
            switch read(buffer) {
            case .value(let value, let count):
                buffer.removeFirst(count)
                return value
            case .bad: throw .reset
            case .more:
                guard buffer.count <= SOCKS5Message.longest else { throw .reset }
                let more = try await stream.read(atMost: 4096)
                guard !more.isEmpty else { throw .reset }
                buffer += more
            }
        }
    }

    private func refuse(_ reply: SOCKS5Message.Reply) async throws(OverlaySocketError) {
        try await stream.write(SOCKS5Message.reply(reply, Endpoint(IPAddress(v4: 0), port: 0)))
        stream.close()
    }

    private static func reply(to error: OverlaySocketError) -> SOCKS5Message.Reply {
        switch error {
        case .refused: .refused
        case .timedOut: .expired
        case .unreachable, .noSuchName: .unreachable
        default: .failed
        }
    }

    /// Carries datagrams for as long as the client's connection stays.
    private func associate() async throws(OverlaySocketError) {
        // Where the client reaches us: at the address that its connection came to, which is a loopback one for a Unix socket.
        let known = stream.localEndpoint.address
        let place = known.isUnspecified ? IPAddress(v4: 0x7F00_0001) : known
        let outside = try proxy.host.openDatagrams(on: Endpoint(place, port: 0))
        let association = UDPAssociation(
            outside, stream.remoteEndpoint.address.isUnspecified ? place : stream.remoteEndpoint.address, proxy.overlay)
        try await stream.write(SOCKS5Message.reply(.done, outside.localEndpoint))
        stream.setDeadline(nil)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await association.carryOut() }
            for family in association.families { group.addTask { await association.carryBack(family) } }
            // What it says is nothing; its end is the association's.
            while let said = try? await stream.read(atMost: 4096), !said.isEmpty {}
            association.close()
        }
        stream.close()
    }
}
