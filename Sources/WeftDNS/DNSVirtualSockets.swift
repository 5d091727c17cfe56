// SPDX-License-Identifier: Apache-2.0
import CWeftAres
import Glibc
import Weft
import WeftNames

/// What c-ares takes for sockets: numbers that have an address, and a queue of what came for them.
@safe
final class DNSVirtualSockets {
    private struct Socket {
        let transport: DNSTransport
        var resolver: IPAddress?
        /// Of a stream, each message with its length before it.
        var received: [[UInt8]] = []
        var hasFailed = false
        /// Of a stream: what isn't a whole message yet, and the numbers of questions without an answer.
        var outgoing: [UInt8] = []
        var asked: Set<UInt16> = []
    }

    /// Answers that were cut off, by their questions' numbers: taken as far as they go where a resolver's TCP brings none.
    private var cut: [UInt16: [UInt8]] = [:]
    private static let mostCut = 64

    private var sockets: [ares_socket_t: Socket] = [:]
    private var last: ares_socket_t = 0
    var way: DNSChannel.Way?
    /// c-ares keeps the pointer.
    private let functions: UnsafeMutablePointer<ares_socket_functions>

    /// The port that c-ares is told that answers come from: it asks nobody at another.
    private static let port = ResolverSettings.port

    init() {
        unsafe functions = .allocate(capacity: 1)
        unsafe functions.initialize(
            to: ares_socket_functions(
                asocket: { _, type, _, context in
                    guard let own = unsafe DNSVirtualSockets.own(context) else { return failure(EPROTONOSUPPORT) }
                    return own.make(type == Int32(SOCK_STREAM.rawValue) ? .stream : .datagram)
                },
                aclose: { socket, context in
                    unsafe DNSVirtualSockets.own(context)?.remove(socket)
                    return 0
                },
                aconnect: { socket, address, length, context in
                    guard let own = unsafe DNSVirtualSockets.own(context),
                        let resolver = unsafe DNSVirtualSockets.address(address, length)
                    else { return failure(EAFNOSUPPORT) }
                    own.sockets[socket]?.resolver = resolver
                    return 0
                },
                arecvfrom: { socket, buffer, room, _, source, length, context in
                    guard let own = unsafe DNSVirtualSockets.own(context), let buffer = unsafe buffer else {
                        return Int(failure(EBADF))
                    }
                    return unsafe own.receive(
                        socket, UnsafeMutableRawBufferPointer(start: buffer, count: room), source, length)
                },
                asendv: { socket, parts, count, context in
                    guard let own = unsafe DNSVirtualSockets.own(context) else { return Int(failure(EBADF)) }
                    return unsafe own.send(socket, UnsafeBufferPointer(start: parts, count: Int(max(count, 0))))
                }))
    }

    deinit { unsafe functions.deallocate() }

    /// Has a channel use these instead of the system's; it must not outlive them.
    func attach(to channel: OpaquePointer) {
        unsafe ares_set_socket_functions(channel, functions, Unmanaged.passUnretained(self).toOpaque())
    }

    private static func own(_ context: UnsafeMutableRawPointer?) -> DNSVirtualSockets? {
        // Safe: the context is what `attach` gave, which outlives the channel.
        unsafe context.map { unsafe Unmanaged<DNSVirtualSockets>.fromOpaque($0).takeUnretainedValue() }
    }

    // MARK: What c-ares does

    private func make(_ transport: DNSTransport) -> ares_socket_t {
        repeat { last = last == .max ? 1 : last + 1 } while sockets[last] != nil
        sockets[last] = Socket(transport: transport)
        return last
    }

    private func remove(_ socket: ares_socket_t) {
        guard let known = sockets.removeValue(forKey: socket), known.resolver != nil else { return }
        way?.close(UInt32(bitPattern: socket))
    }

    private func send(_ socket: ares_socket_t, _ parts: UnsafeBufferPointer<iovec>) -> Int {
        guard let known = sockets[socket], let resolver = known.resolver else { return Int(failure(ENOTCONN)) }
        var bytes: [UInt8] = []
        // Safe: c-ares lends the bytes for the call.
        unsafe parts.forEach { part in
            unsafe bytes += UnsafeRawBufferPointer(start: part.iov_base, count: part.iov_len)
        }
        if known.transport == .stream {
            sendMessages(socket, resolver, of: known.outgoing + bytes)
        } else {
            way?.send(bytes, UInt32(bitPattern: socket), resolver, .datagram)
        }
        return bytes.count
    }

    /// Sends what is whole of a stream's bytes, and keeps the rest.
    private func sendMessages(_ socket: ares_socket_t, _ resolver: IPAddress, of bytes: [UInt8]) {
        var rest = bytes[...]
        while let length = Self.word(rest).map(Int.init), rest.count >= 2 + length {
            let question = Array(rest.dropFirst(2).prefix(length))
            rest = rest.dropFirst(2 + length)
            if let number = Self.word(question[...]) { sockets[socket]?.asked.insert(number) }
            way?.send(question, UInt32(bitPattern: socket), resolver, .stream)
        }
        sockets[socket]?.outgoing = Array(rest)
    }

    /// The first two bytes as a number.
    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt16? {
        bytes.count < 2 ? nil : UInt16(bytes[bytes.startIndex]) << 8 | UInt16(bytes[bytes.startIndex + 1])
    }

    private func receive(
        _ socket: ares_socket_t, _ buffer: UnsafeMutableRawBufferPointer, _ source: UnsafeMutablePointer<sockaddr>?,
        _ length: UnsafeMutablePointer<socklen_t>?
    ) -> Int {
        guard let known = sockets[socket], let resolver = known.resolver else { return Int(failure(EBADF)) }
        guard let bytes = known.received.first else { return Int(failure(known.hasFailed ? ECONNREFUSED : EAGAIN)) }
        sockets[socket]?.received.removeFirst()
        if let source = unsafe source, let length = unsafe length {
            unsafe Self.write(
                resolver, to: UnsafeMutableRawBufferPointer(start: source, count: Int(length.pointee)), length)
        }
        let count = min(bytes.count, buffer.count)
        unsafe buffer.copyBytes(from: bytes.prefix(count))
        if known.transport == .stream, count < bytes.count {
            sockets[socket]?.received.insert(Array(bytes.dropFirst(count)), at: 0)
        }
        return count
    }

    // MARK: What comes for it

    /// Keeps an answer until c-ares takes it; the socket's number for c-ares, nil where there is no such socket.
    func deliver(_ bytes: [UInt8], to socket: UInt32) -> ares_socket_t? {
        let number = ares_socket_t(bitPattern: socket)
        guard let known = sockets[number], known.resolver != nil else { return nil }
        let question = Self.word(bytes[...])
        if known.transport == .stream {
            if let question { sockets[number]?.asked.remove(question) }
            append(bytes, to: number)
        } else {
            sockets[number]?.received.append(bytes)
            // The header's bit TC (RFC 1035 section 4.1.1).
            if let question, bytes.count > 2, bytes[2] & 2 != 0 {
                if cut.count >= Self.mostCut { cut.removeAll() }
                cut[question] = bytes
            }
        }
        return number
    }

    /// Appends a message to what a stream brought.
    private func append(_ bytes: [UInt8], to number: ares_socket_t) {
        sockets[number]?.received.append(
            [UInt8(truncatingIfNeeded: bytes.count >> 8), UInt8(truncatingIfNeeded: bytes.count)] + bytes)
    }

    func fail(_ socket: UInt32) -> ares_socket_t? {
        let number = ares_socket_t(bitPattern: socket)
        guard let known = sockets[number], known.resolver != nil else { return nil }
        var isWithoutAny = known.asked.isEmpty
        for question in known.asked {
            if let answer = cut.removeValue(forKey: question) {
                append(answer, to: number)
            } else {
                isWithoutAny = true
            }
        }
        sockets[number]?.asked.removeAll()
        if isWithoutAny { sockets[number]?.hasFailed = true }
        return number
    }

    /// Bytes that wait at a socket.
    func waiting(at socket: ares_socket_t) -> Int { sockets[socket]?.received.reduce(0) { $0 + $1.count } ?? 0 }

    /// Streams that are there.
    var streams: [ares_socket_t] {
        sockets.filter { $0.value.transport == .stream && $0.value.resolver != nil }.map(\.key)
    }

    // MARK: Addresses

    /// The address in a C structure of that length; nil for one of another family.
    static func address(_ pointer: UnsafePointer<sockaddr>?, _ length: socklen_t) -> IPAddress? {
        guard let pointer = unsafe pointer else { return nil }
        // Safe: who hands an address over says how long it is.
        let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(pointer), byteCount: Int(length))
        func word(_ offset: Int) -> UInt64 {
            unsafe UInt64(UInt32(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)))
        }
        switch Int32(unsafe pointer.pointee.sa_family) {
        case AF_INET where bytes.byteCount >= MemoryLayout<sockaddr_in>.size:
            return IPAddress(v4: UInt32(truncatingIfNeeded: word(4)))
        case AF_INET6 where bytes.byteCount >= MemoryLayout<sockaddr_in6>.size:
            return IPAddress(v6: word(8) << 32 | word(12), word(16) << 32 | word(20))
        default: return nil
        }
    }

    private static func write(
        _ address: IPAddress, to room: UnsafeMutableRawBufferPointer, _ length: UnsafeMutablePointer<socklen_t>
    ) {
        let (size, family, offset) =
            address.family == .v4
            ? (MemoryLayout<sockaddr_in>.size, AF_INET, 4) : (MemoryLayout<sockaddr_in6>.size, AF_INET6, 8)
        var bytes = [UInt8](repeating: 0, count: size)
        // The family stands in the host's order, all else in the network's.
        unsafe withUnsafeBytes(of: sa_family_t(family)) { bytes.replaceSubrange(0..<2, with: unsafe Array($0)) }
        bytes.replaceSubrange(2..<4, with: [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)])
        bytes.replaceSubrange(offset..<offset + address.bytes.count, with: address.bytes)
        guard room.count >= size else { return }
        unsafe room.copyBytes(from: bytes)
        unsafe length.pointee = socklen_t(size)
    }
}

/// What a C function that failed returns.
private func failure(_ code: Int32) -> Int32 {
    errno = code
    return -1
}
