// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// A connection to a tunnel's socket: its request comes, then its answer goes, as fast as the other end likes, but each within
/// its time. Never waits.
final class AdminConnection {
    private let descriptor: FileDescriptor
    private var incoming: [UInt8] = []
    private var files: [SharedDescriptor] = []
    private var outgoing: [UInt8]?
    private var sent = 0
    /// When it is given up; nil once it only waits for the tunnel's end.
    private(set) var deadline: Instant?

    static let requestTime = Duration.seconds(2)
    static let answerTime = Duration.seconds(10)

    init(_ descriptor: consuming FileDescriptor, at now: Instant) {
        self.descriptor = descriptor
        deadline = now.advanced(by: Self.requestTime)
    }

    /// Whether its request has come.
    var isAnswering: Bool { outgoing != nil }

    /// What it waits for: its request, room for its answer, or the other end's going.
    var interest: pollfd {
        let events = outgoing.map { sent < $0.count ? POLLOUT : 0 } ?? POLLIN
        return pollfd(fd: descriptor.raw, events: Int16(truncatingIfNeeded: events), revents: 0)
    }

    /// The other end's user, as the kernel knows him.
    var caller: uid_t? {
        var user: uid_t = 0
        return unsafe weft_peer_user(descriptor.raw, &user) == 0 ? user : nil
    }

    /// A request that has come whole, with the files that came along.
    enum Arrival {
        case nothing
        case request(AdminRequest, files: [SharedDescriptor])
        /// What came is no request.
        case garbage
        /// The other end is gone.
        case gone
    }

    /// Takes what has come.
    func receive() -> Arrival {
        var chunk = [UInt8](repeating: 0, count: 4096)
        var passed = [Int32](repeating: -1, count: Int(WEFT_MOST_DESCRIPTORS))
        var number = UInt32(passed.count)
        let count = unsafe weft_receive_descriptors(
            descriptor.raw, &chunk, min(chunk.count, AdminRequest.limit + 1 - incoming.count), &passed, &number,
            Int32(MSG_DONTWAIT))
        files += passed.prefix(Int(number)).map { SharedDescriptor(FileDescriptor(owning: $0)) }
        if count < 0, errno == EAGAIN { return .nothing }
        guard count > 0 else { return .gone }
        guard files.count <= AdminRequest.mostFiles else { return .garbage }
        incoming += chunk.prefix(count)
        switch AdminRequest.read(incoming) {
        case .incomplete: return .nothing
        case .bad: return .garbage
        case .complete(let request):
            defer { files = [] }
            return .request(request, files: files)
        }
    }

    /// Begins an answer.
    func answer(_ text: String, at now: Instant) {
        outgoing = Array(text.utf8)
        files = []
        deadline = now.advanced(by: Self.answerTime)
    }

    /// Begins an answer after which the connection stays open until the process ends, which is what the other end waits for.
    func answerAndStay(_ text: String) {
        // A duplicate that nothing closes before the process ends: then whoever waits knows that all is gone.
        _ = weft_duplicate_above(descriptor.raw, 2)
        outgoing = Array(text.utf8)
        deadline = nil
    }

    /// Sends what there is room for; false once the connection is done.
    func send() -> Bool {
        guard let outgoing else { return true }
        // Nothing is left to send, and the other end went.
        guard sent < outgoing.count else { return false }
        let count = unsafe outgoing[sent...].withUnsafeBytes {
            unsafe Glibc.send(
                descriptor.raw, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
        }
        if count < 0 { return errno == EAGAIN || errno == EINTR }
        sent += count
        return sent < outgoing.count || deadline == nil
    }
}
