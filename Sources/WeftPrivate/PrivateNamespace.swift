// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft
import WeftLink
import WeftSockets
import WeftTUN

/// A network namespace of this process' own, which needs no privilege: the kernel's own TCP/IP for whoever isn't root.
///
/// A process of its own, the keeper, lives in there, and makes what is asked for: the TUN device, netlink sockets, sockets of the
/// overlay. Everything else stays outside. The namespace goes once the keeper has ended and the last descriptor from it is closed.
///
/// The keeper is a copy of this process as it is now, which may have threads: start it before keys are read, and before the
/// process is confined.
public final class PrivateNamespace: TUNNamespace, SocketMaker {
    private let socket: SharedDescriptor
    private let process: SharedDescriptor
    /// One request at a time: its answer is the next message.
    private let exchange = Mutex(())

    /// Starts a keeper in a namespace of its own.
    /// - Parameter command: what it can run in there; nil for nothing.
    /// - Throws: ``PrivateNamespaceError`` with what is missing, and what helps.
    public init(command: PrivateCommand? = nil) throws(PrivateNamespaceError) {
        guard unsafe access("/dev/net/tun", F_OK) == 0 else { throw PrivateNamespaceError(.noDevice, code: errno) }
        guard unsafe access("/dev/net/tun", R_OK | W_OK) == 0 else {
            throw PrivateNamespaceError(.closedDevice, code: errno)
        }
        var (socket, process): (Int32, Int32) = (-1, -1)
        // The command's memory is never freed, since the keeper has a copy of it.
        guard unsafe weft_private_start(command?.plan, &socket, &process) == 0 else {
            throw PrivateNamespaceError(.fork, code: errno)
        }
        self.socket = SharedDescriptor(FileDescriptor(owning: socket))
        self.process = SharedDescriptor(FileDescriptor(owning: process))
        var first = weft_private_reply()
        var none: UInt32 = 0
        let count = unsafe weft_receive_descriptors(
            socket, &first, MemoryLayout<weft_private_reply>.size, nil, &none, 0)
        guard count == MemoryLayout<weft_private_reply>.size else { throw PrivateNamespaceError(.fork, code: EPIPE) }
        guard first.error == 0 else {
            throw PrivateNamespaceError(PrivateNamespaceError.Step(first.value), code: first.error)
        }
        // Who is in there may ping without a capability; an older kernel, or a /proc/sys that is read-only, doesn't let him.
        let group = getegid()
        try? write("\(group) \(group)", to: "net/ipv4/ping_group_range")
    }

    deinit { close() }

    /// Ends the keeper; a command that it runs is killed. Twice is harmless.
    public func close() {
        exchange.withLock { _ in
            guard !isClosed.exchange(true, ordering: .relaxed) else { return }
            socket.close()
            _ = weft_private_reap(process.raw)
            process.close()
        }
    }

    private let isClosed = Atomic(false)

    /// Becomes readable once the keeper has ended.
    public var processDescriptor: Int32 { process.raw }

    /// Asks the keeper, and waits for its answer: microseconds, since it does nothing else.
    private func ask(
        _ kind: weft_private_kind, descriptors most: UInt32 = 0, _ fill: (inout weft_private_request) -> Void = { _ in }
    ) throws(TransportError) -> (reply: weft_private_reply, descriptors: [SharedDescriptor]) {
        var request = weft_private_request()
        request.kind = kind.rawValue
        fill(&request)
        return try exchange.withLock { _ throws(TransportError) in
            guard !isClosed.load(ordering: .relaxed) else { throw TransportError("ask the keeper", code: EBADF) }
            var reply = weft_private_reply()
            var passed = [Int32](repeating: -1, count: max(Int(most), 1))
            var number = most
            let size = MemoryLayout<weft_private_request>.size
            let sent = unsafe weft_send_descriptors(socket.raw, &request, size, nil, 0)
            let count =
                sent == size
                ? unsafe weft_receive_descriptors(
                    socket.raw, &reply, MemoryLayout<weft_private_reply>.size, &passed, &number, 0) : -1
            let descriptors = passed.prefix(count > 0 ? Int(number) : 0).map {
                SharedDescriptor(FileDescriptor(owning: $0))
            }
            guard count == MemoryLayout<weft_private_reply>.size else {
                throw TransportError("ask the keeper of the private network, which has ended", code: EPIPE)
            }
            guard reply.error == 0 else { throw TransportError("make it", code: reply.error) }
            return (reply, descriptors)
        }
    }

    public func openQueues(
        _ count: Int, name: String, flags: Int32
    ) throws(DatapathError) -> [SharedDescriptor] {
        do throws(TransportError) {
            return try ask(.init(WEFT_PRIVATE_TUN.rawValue), descriptors: UInt32(count)) { request in
                request.type = flags
                request.number = UInt32(count)
                unsafe Self.store([name], in: &request.text)
            }.descriptors
        } catch {
            throw TUNDevice.explain(makingIn: "the private network", name, error.code)
        }
    }

    /// Opens a socket in there.
    /// - Parameter address: what it is bound to, as the kernel wants it: nothing, or at most 32 bytes.
    public func openSocket(
        _ domain: Int32, _ type: Int32, _ number: Int32 = 0, boundTo address: [UInt8] = []
    ) throws(TransportError) -> SharedDescriptor {
        let made = try ask(.init(WEFT_PRIVATE_SOCKET.rawValue), descriptors: 1) { request in
            (request.domain, request.type, request.protocol) = (domain, type, number)
            request.address_length = UInt32(min(address.count, MemoryLayout.size(ofValue: request.address)))
            // Safe: the address is cut to the room that it gets.
            unsafe withUnsafeMutableBytes(of: &request.address) { unsafe $0.copyBytes(from: address.prefix($0.count)) }
        }
        guard let descriptor = made.descriptors.first else { throw TransportError("open a socket", code: EPROTO) }
        return descriptor
    }

    public func netlinkSocket() throws(LinkError) -> FileDescriptor {
        var address = sockaddr_nl()
        address.nl_family = sa_family_t(AF_NETLINK)
        // Safe: a plain structure's bytes.
        let bytes = unsafe withUnsafeBytes(of: address) { unsafe Array($0) }
        do throws(TransportError) {
            let socket = try openSocket(AF_NETLINK, Int32(SOCK_RAW.rawValue), NETLINK_ROUTE, boundTo: bytes)
            let own = fcntl(socket.raw, F_DUPFD_CLOEXEC, 0)
            guard own >= 0 else { throw TransportError("open a netlink socket", code: errno) }
            return FileDescriptor(owning: own)
        } catch {
            throw .netlink(operation: "reach the private network", reason: SystemCall.message(error.code))
        }
    }

    public func setting(at path: String) -> String? {
        let answer = try? ask(.init(WEFT_PRIVATE_READ.rawValue)) {
            unsafe Self.store(["/proc/sys/\(path)"], in: &$0.text)
        }
        guard var text = answer?.reply.text else { return nil }
        // Safe: a tuple of bytes.
        return unsafe withUnsafeBytes(of: &text) { bytes in
            unsafe String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self)
        }
    }

    /// Writes a setting of the namespace's, at a path below /proc/sys.
    public func write(_ value: String, to path: String) throws(TransportError) {
        _ = try ask(.init(WEFT_PRIVATE_WRITE.rawValue)) { request in
            unsafe Self.store(["/proc/sys/\(path)", value], in: &request.text)
        }
    }

    /// Starts the command that the namespace was made with.
    /// - Returns: what is readable once it has ended.
    public func run() throws(TransportError) -> SharedDescriptor {
        let made = try ask(.init(WEFT_PRIVATE_RUN.rawValue), descriptors: 1)
        guard let descriptor = made.descriptors.first else { throw TransportError("start the command", code: EPROTO) }
        return descriptor
    }

    /// Waits for the command's end.
    /// - Returns: its exit status, or 128 and the number of the signal that ended it.
    public func waitForCommand() throws(TransportError) -> Int32 {
        try ask(.init(WEFT_PRIVATE_WAIT.rawValue)).reply.value
    }

    /// Sends the command a signal.
    public func signalCommand(_ signal: Int32) {
        _ = try? ask(.init(WEFT_PRIVATE_SIGNAL.rawValue)) { $0.number = UInt32(bitPattern: signal) }
    }

    /// Texts, each with a zero byte behind it; what doesn't fit is left out.
    @unsafe
    private static func store<Room>(_ texts: [String], in room: inout Room) {
        let bytes: [UInt8] = texts.flatMap { text -> [UInt8] in Array(text.utf8) + [0] }
        unsafe withUnsafeMutableBytes(of: &room) { unsafe $0.copyBytes(from: bytes.prefix($0.count - 1)) }
    }
}
