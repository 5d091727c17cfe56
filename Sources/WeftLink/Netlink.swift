// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc

/// One rtnetlink socket (RFC 3549): addresses, routes, rules and links of the network namespace in which the calling
/// thread was when it opened the socket.
///
/// Calls block until the kernel has answered: microseconds, or milliseconds to list thousands of routes. Anyone may
/// read; changes need CAP_NET_ADMIN. Closing is `deinit`; what was added stays.
@safe
public struct Netlink: ~Copyable {
    private let socket: NetlinkObject
    private let answers: Answers

    /// What the callbacks of a running request leave behind for the caller.
    final class Answers {
        /// Whole netlink messages, each with its header.
        var messages: [[UInt8]] = []
        /// The errno with which the kernel refused, or 0.
        var errorNumber: Int32 = 0

        func failure(_ status: Int32, during operation: String) -> LinkError {
            // libnl folds many errnos into one code, so the kernel's own number is preferred.
            if errorNumber != 0 { return .kernel(errorNumber, during: operation) }
            if status == -NLE_NOMEM { return .outOfMemory }
            // rtnl_link_get_kernel sees the errno itself and hands on its own code only.
            if status == -NLE_NODEV { return .kernel(ENODEV, during: operation) }
            return .library(status, during: operation)
        }
    }

    /// Opens and binds the socket.
    /// - Parameter namespace: whose links it works on; nil for the calling thread's.
    public init(in namespace: (any LinkNamespace)? = nil) throws(LinkError) {
        let socket = try unsafe NetlinkObject(nl_socket_alloc(), release: nl_socket_free)
        let answers = Answers()
        // SAFETY: `answers` lives as long as the socket that holds this unretained reference.
        let context = unsafe Unmanaged.passUnretained(answers).toOpaque()
        unsafe nl_socket_modify_cb(socket.pointer, NL_CB_VALID, NL_CB_CUSTOM, keepAnswer, context)
        unsafe nl_socket_modify_err_cb(socket.pointer, NL_CB_CUSTOM, keepError, context)
        let status: Int32
        if let namespace {
            let descriptor = try namespace.netlinkSocket()
            // Closes what it is given with itself, so that it gets a descriptor of its own.
            let own = fcntl(descriptor.raw, F_DUPFD_CLOEXEC, 0)
            status = own < 0 ? -NLE_NOMEM : unsafe nl_socket_set_fd(socket.pointer, NETLINK_ROUTE, own)
        } else {
            status = unsafe nl_connect(socket.pointer, NETLINK_ROUTE)
        }
        guard status >= 0 else { throw answers.failure(status, during: "open a netlink socket") }
        self.socket = socket
        self.answers = answers
    }

    /// Sends a request and waits for the kernel's acknowledgement.
    /// - Parameter operation: completes the sentence "cannot ...".
    mutating func send(_ message: borrowing NetlinkObject, to operation: String) throws(LinkError) {
        answers.errorNumber = 0
        // SAFETY: both objects are owned for the whole call; libnl copies the message into the socket.
        var status = unsafe nl_send_auto(socket.pointer, message.pointer)
        if status >= 0 { status = unsafe nl_wait_for_ack(socket.pointer) }
        guard status >= 0 else { throw answers.failure(status, during: operation) }
    }

    /// Sends a request for one object and gives the answer, a message with its header; nil where the kernel sends none.
    mutating func ask(_ message: borrowing NetlinkObject, to operation: String) throws(LinkError) -> [UInt8]? {
        answers.messages.removeAll()
        answers.errorNumber = 0
        // SAFETY: both objects are owned for the whole call; libnl copies the message into the socket. Answer and
        // acknowledgement come one after the other.
        var status = unsafe nl_send_auto(socket.pointer, message.pointer)
        if status >= 0 { status = unsafe nl_recvmsgs_default(socket.pointer) }
        if status >= 0, !answers.messages.isEmpty { status = unsafe nl_wait_for_ack(socket.pointer) }
        guard status >= 0 else { throw answers.failure(status, during: operation) }
        defer { answers.messages.removeAll() }
        return answers.messages.first
    }

    /// Asks for every object of a kind and family; each answer is one message with its header.
    mutating func dump(_ type: Int32, family: Int32, to operation: String) throws(LinkError) -> [[UInt8]] {
        try unsafe dump(to: operation) { socket in
            var header = rtgenmsg(rtgen_family: UInt8(truncatingIfNeeded: family))
            // SAFETY: libnl copies the header's bytes, whose count stands beside it, before the call returns.
            return unsafe nl_send_simple(socket, type, NLM_F_DUMP, &header, MemoryLayout<rtgenmsg>.size)
        }
    }

    /// Sends a request for a list and gives the answers, one message with its header each.
    /// - Parameter request: returns a negative code of libnl's on failure.
    mutating func dump(
        to operation: String, _ request: (_ socket: OpaquePointer) -> Int32
    ) throws(LinkError) -> [[UInt8]] {
        // A table that changes while it is listed is listed again; a few rounds are enough for any but a broken system.
        for _ in 0..<8 {
            answers.errorNumber = 0
            answers.messages.removeAll()
            var status = unsafe request(socket.pointer)
            if status >= 0 { status = unsafe nl_recvmsgs_default(socket.pointer) }
            if status == -NLE_DUMP_INTR { continue }
            guard status >= 0 else { throw answers.failure(status, during: operation) }
            defer { answers.messages.removeAll() }
            return answers.messages
        }
        throw .netlink(operation: operation, reason: "the list keeps changing; try again")
    }

    /// Runs a call of libnl's that does its own exchange over this socket and returns a negative code on failure.
    mutating func call(
        to operation: String, _ body: (_ socket: OpaquePointer) -> Int32
    ) throws(LinkError) {
        answers.errorNumber = 0
        let status = unsafe body(socket.pointer)
        guard status >= 0 else { throw answers.failure(status, during: operation) }
    }
}

// Every method that talks to the kernel is mutating, so two threads cannot use one socket at the same time.
extension Netlink: @unchecked Sendable {}

/// Owns the message that one of libnl's `..._build_..._request` functions allocates.
func request(_ build: (inout OpaquePointer?) -> Int32) throws(LinkError) -> NetlinkObject {
    var message: OpaquePointer?
    // SAFETY: libnl fills `message` in when it returns no error, and the new owner takes that one reference.
    let status = unsafe build(&message)
    guard status >= 0 else { throw .library(status, during: "build a netlink request") }
    return try unsafe NetlinkObject(message, release: nlmsg_free)
}

extension LinkError {
    /// The error that a negative code of libnl's stands for.
    fileprivate static func library(_ status: Int32, during operation: String) -> LinkError {
        // SAFETY: the text is a constant of libnl's, or nil.
        let reason = unsafe nl_geterror(status).map { text in unsafe String(cString: text) }
        return .netlink(operation: operation, reason: reason ?? "libnl error \(status)")
    }
}

private func keepAnswer(message: OpaquePointer?, context: UnsafeMutableRawPointer?) -> Int32 {
    // SAFETY: libnl passes the message that it has just received and the context that `Netlink.init` gave it; the
    // header's length was checked against what arrived.
    if let context = unsafe context, let header = unsafe nlmsg_hdr(message) {
        let answers = unsafe Unmanaged<Netlink.Answers>.fromOpaque(context).takeUnretainedValue()
        let bytes = unsafe UnsafeRawBufferPointer(start: header, count: Int(header.pointee.nlmsg_len))
        unsafe answers.messages.append([UInt8](bytes))
    }
    return Int32(NL_OK.rawValue)
}

private func keepError(
    source: UnsafeMutablePointer<sockaddr_nl>?, error: UnsafeMutablePointer<nlmsgerr>?,
    context: UnsafeMutableRawPointer?
) -> Int32 {
    // SAFETY: libnl checked the message's length, and the context is what `Netlink.init` gave it.
    if let context = unsafe context, let error = unsafe error {
        let answers = unsafe Unmanaged<Netlink.Answers>.fromOpaque(context).takeUnretainedValue()
        answers.errorNumber = unsafe -error.pointee.error
    }
    return Int32(NL_STOP.rawValue)
}
