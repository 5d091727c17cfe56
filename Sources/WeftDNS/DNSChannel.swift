// SPDX-License-Identifier: Apache-2.0
import CWeftAres
import Glibc
import Weft
import WeftNames

/// Asks resolvers by c-ares, which makes questions, asks again and reads answers; it gets neither a file nor a socket: its datagrams
/// go to whoever made this, and come from there. One thread uses it.
@safe
public final class DNSChannel: NameQueries {
    /// Where c-ares' datagrams go.
    public struct Way {
        /// Sends a question by the socket of that number, which exists from its first question on.
        public let send: (_ bytes: [UInt8], _ socket: UInt32, _ resolver: IPAddress, _ transport: DNSTransport) -> Void
        public let close: (_ socket: UInt32) -> Void

        public init(
            send:
                @escaping (
                    _ bytes: [UInt8], _ socket: UInt32, _ resolver: IPAddress, _ transport: DNSTransport
                ) -> Void,
            close: @escaping (_ socket: UInt32) -> Void
        ) {
            self.send = send
            self.close = close
        }
    }

    /// Until a resolver is asked again, the first time, in milliseconds.
    private static let timeout: Int32 = 1500
    private static let tries: Int32 = 3
    /// What resolvers are told to send at most, in bytes: it fits every path (DNS flag day 2020).
    private static let answerSize: Int32 = 1232

    private let channel: OpaquePointer
    private let sockets: DNSVirtualSockets
    private let answers = Answers()
    private var failed: [UInt32] = []

    /// c-ares reads files as it begins, so it is to be made before a sandbox forbids that; it doesn't heed them.
    /// - Throws: ``DNSChannelError`` when there is no memory.
    public init() throws(DNSChannelError) {
        guard ares_library_init(ARES_LIB_INIT_NONE) == 0 else { throw DNSChannelError() }
        var options = unsafe ares_options()
        unsafe options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS
        unsafe options.timeout = Self.timeout
        unsafe options.tries = Self.tries
        unsafe options.ednspsz = Self.answerSize
        var mask =
            ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_SERVERS | ARES_OPT_DOMAINS
            | ARES_OPT_LOOKUPS | ARES_OPT_EDNSPSZ
        mask |= unsafe weft_ares_without_cache(&options)
        var made: OpaquePointer?
        // Resolvers alone, no hosts file. Safe: c-ares copies what the options point to.
        var lookups = Array("b".utf8CString)
        let status = unsafe lookups.withUnsafeMutableBufferPointer { text in
            unsafe options.lookups = text.baseAddress
            return unsafe ares_init_options(&made, &options, mask)
        }
        guard status == 0, let made = unsafe made else { throw DNSChannelError() }
        unsafe channel = made
        sockets = DNSVirtualSockets()
        unsafe sockets.attach(to: made)
    }

    deinit {
        sockets.way = nil
        unsafe ares_destroy(channel)
        ares_library_cleanup()
    }

    /// Sets where datagrams go; until then they are lost.
    public func setWay(_ way: Way) { sockets.way = way }

    // MARK: What comes

    /// A socket brought an answer.
    public func receive(_ bytes: [UInt8], by socket: UInt32) {
        // An empty one is none, and c-ares would take it for the socket's end. What is no message is nobody's answer.
        guard !bytes.isEmpty, bytes.count <= DNSQuestion.longestAnswer,
            unsafe weft_ares_can_read(bytes, bytes.count) != 0,
            let number = sockets.deliver(bytes, to: socket)
        else { return }
        process(number)
    }

    /// Has c-ares take what waits at a socket, of a stream piece by piece.
    private func process(_ number: ares_socket_t) {
        var before: Int
        var after = sockets.waiting(at: number)
        repeat {
            before = after
            unsafe ares_process_fd(channel, number, Self.none)
            after = sockets.waiting(at: number)
        } while after > 0 && after < before
        flush()
    }

    /// Streams always take what c-ares has for them, which it is to be told.
    private func flush() {
        for number in sockets.streams { unsafe ares_process_fd(channel, Self.none, number) }
    }

    /// A socket will bring nothing: c-ares goes on with another resolver at once.
    public func fail(_ socket: UInt32) {
        if let number = sockets.fail(socket) { process(number) }
    }

    /// As ``fail(_:)``, with the next ``advance()``: for who is asked to send, which is within a call of c-ares'.
    public func failLater(_ socket: UInt32) { failed.append(socket) }

    private static let none: ares_socket_t = -1

    // MARK: NameQueries

    public func setResolvers(_ resolvers: [IPAddress]) {
        // c-ares takes others only while it asks nobody.
        unsafe ares_cancel(channel)
        answers.all.removeAll()
        var nodes = unsafe resolvers.map { unsafe Self.node($0) }
        unsafe nodes.withUnsafeMutableBufferPointer { nodes in
            for index in nodes.indices.dropLast() {
                unsafe nodes[index].next = nodes.baseAddress?.advanced(by: index + 1)
            }
            // Safe: c-ares copies the list.
            _ = unsafe ares_set_servers_ports(channel, nodes.isEmpty ? nil : nodes.baseAddress)
        }
    }

    private static func node(_ address: IPAddress) -> ares_addr_port_node {
        var node = unsafe ares_addr_port_node()
        unsafe node.family = address.family == .v4 ? AF_INET : AF_INET6
        let bytes = address.bytes
        unsafe withUnsafeMutableBytes(of: &node.addr) { unsafe $0.copyBytes(from: bytes) }
        return unsafe node
    }

    /// What came of questions. c-ares calls back at the channel's end, too, so that it is none of the channel's own.
    private final class Answers {
        var all: [(number: UInt64, answer: NameAnswer)] = []
        /// Questions of which nothing has come.
        var open = 0
    }

    /// What c-ares hands back with what came of a question.
    private final class Question {
        let number: UInt64
        let answers: Answers

        init(_ number: UInt64, _ answers: Answers) {
            self.number = number
            self.answers = answers
        }
    }

    public func ask(_ number: UInt64, for name: String, _ family: IPAddress.Family) {
        var hints = ares_addrinfo_hints()
        // In the order in which they come: c-ares would make sockets to sort them.
        hints.ai_flags = ARES_AI_NOSORT
        hints.ai_family = family == .v4 ? AF_INET : AF_INET6
        answers.open += 1
        // Safe: c-ares calls back exactly once for each question, before the channel's end at the latest, and that takes it back.
        let question = unsafe Unmanaged.passRetained(Question(number, answers)).toOpaque()
        unsafe ares_getaddrinfo(
            channel, name, nil, &hints,
            { context, status, _, result in
                guard let context = unsafe context else { return }
                let question = unsafe Unmanaged<Question>.fromOpaque(context).takeRetainedValue()
                question.answers.open -= 1
                defer { if let result = unsafe result { unsafe ares_freeaddrinfo(result) } }
                // Nobody waits for what was called off.
                guard status != weft_ares_cancelled, status != weft_ares_destroyed else { return }
                question.answers.all.append((question.number, unsafe DNSChannel.answer(status, result)))
            }, question)
    }

    private static func answer(_ status: Int32, _ result: UnsafeMutablePointer<ares_addrinfo>?) -> NameAnswer {
        switch status {
        case weft_ares_success: break
        case weft_ares_not_found: return .failed(.noSuchName)
        case weft_ares_no_data: return .failed(.noAddress)
        case weft_ares_timed_out: return .failed(.noAnswer)
        default: return .failed(.refused)
        }
        guard let result = unsafe result else { return .failed(.noAddress) }
        var addresses: [IPAddress] = []
        var seconds = Int32.max
        var node = unsafe result.pointee.nodes
        while let entry = unsafe node {
            if let address = unsafe DNSVirtualSockets.address(entry.pointee.ai_addr, entry.pointee.ai_addrlen),
                !address.isUnspecified, addresses.count < HostsFile.mostAddresses
            {
                addresses.append(address)
                seconds = unsafe min(seconds, entry.pointee.ai_ttl)
            }
            unsafe node = entry.pointee.ai_next
        }
        var alias = unsafe result.pointee.cnames
        while let entry = unsafe alias {
            seconds = unsafe min(seconds, entry.pointee.ttl)
            unsafe alias = entry.pointee.next
        }
        return addresses.isEmpty
            ? .failed(.noAddress) : .found(addresses, timeToLive: .seconds(Int64(max(0, seconds))))
    }

    public func advance() {
        let late = failed
        failed.removeAll()
        for socket in late { fail(socket) }
        guard answers.open > 0 else { return }
        unsafe ares_process_fd(channel, Self.none, Self.none)
        flush()
    }

    public func nextAnswer() -> (number: UInt64, answer: NameAnswer)? {
        answers.all.isEmpty ? nil : answers.all.removeFirst()
    }
}

/// c-ares can't be begun with.
public struct DNSChannelError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String { "c-ares can't be set up: out of memory" }
}
