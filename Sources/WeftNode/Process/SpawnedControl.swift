// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft
import WeftControl
import WeftSandbox

/// Control processes that a spawner starts: the data process' side of it.
public final class SpawnedControl: ControlLauncher {
    private let socket: FileDescriptor
    /// The spawner's process.
    public let spawner: Int32

    public var descriptor: Int32 { socket.raw }

    /// Where the program may lie, beside the one that runs or where it is installed.
    static let places = ["weft-control", "../libexec/weft/weft-control"]

    /// Forks the spawner. To be called while the process has one thread and before it reads anything secret.
    ///
    /// - Parameter name: the tunnel's, for those who list processes.
    /// - Throws: where the control process' program can't be run.
    public init(name: String) throws(TransportError) {
        let program = try Self.openProgram()
        var ends: (Int32, Int32) = (-1, -1)
        try SystemCall.retrying("make a socket pair") {
            unsafe withUnsafeMutableBytes(of: &ends) { bytes in
                // Safe: a tuple of two integers lies in memory like an array of two.
                unsafe bytes.assumingMemoryBound(to: Int32.self).baseAddress.map {
                    unsafe socketpair(
                        AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, $0)
                } ?? -1
            }
        }
        let own = FileDescriptor(owning: ends.0)
        let other = FileDescriptor(owning: ends.1)
        var pidfd: Int32 = -1
        let process = unsafe weft_fork(&pidfd)
        if process == 0 {
            Self.letGo(keeping: [other.raw, program.raw])
            Spawner.serve(other.raw, program: program.raw, name: name)
        }
        guard process > 0 else { throw TransportError("start the spawner", code: errno) }
        _ = Glibc.close(pidfd)
        spawner = process
        socket = own
    }

    /// In the spawner: closes what is the command's, and what whoever waits for the command waits for.
    private static func letGo(keeping kept: [Int32]) {
        // Whoever started a detached tunnel waits on these until nobody has them.
        if unsafe getenv("WEFT_READY") != nil { _ = weft_silence() }
        for descriptor in Int32(3)..<64 where !kept.contains(descriptor) { _ = Glibc.close(descriptor) }
    }

    private static func openProgram() throws(TransportError) -> FileDescriptor {
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = unsafe readlink("/proc/self/exe", &path, path.count - 1)
        let own = String(decoding: path.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folder = own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        var code = ENOENT
        for place in places {
            let raw = unsafe open("\(folder)/\(place)", O_RDONLY | O_CLOEXEC)
            if raw >= 0 {
                // Above those that the control process gets.
                let high = weft_duplicate_above(raw, 15)
                _ = Glibc.close(raw)
                return FileDescriptor(owning: try SystemCall.retrying("open \(place)") { high })
            }
            if errno != ENOENT { code = errno }
        }
        throw TransportError("open \(folder)/\(places[0]), which belongs beside \(own)", code: code)
    }

    /// Hands the identity key over, and has the spawner confine itself. The key's bytes stay in a sealed memory file that only the
    /// spawner and control processes have; wiping ours is the caller's part.
    ///
    /// - Parameter user: whom the spawner and the control processes go on as.
    public func confine(holding identity: borrowing Identity, as user: ProcessUser) throws(TransportError) {
        let file = FileDescriptor(
            owning: try SystemCall.retrying("make a memory file") { unsafe weft_memory_file("weft-identity") })
        let pem = identity.pem()
        let written = unsafe pem.span.withUnsafeBufferPointer { bytes in
            unsafe write(file.raw, bytes.baseAddress, bytes.count)
        }
        guard written == pem.count, weft_seal(file.raw) == 0 else {
            throw TransportError("fill a memory file", code: errno)
        }
        try send(.confine(user: user.user, group: user.group), file.raw)
    }

    public func start(with end: consuming FileDescriptor) throws(TransportError) { try send(.start, end.raw) }

    public func kill() { try? send(.kill, nil) }

    public func close() {
        _ = shutdown(socket.raw, Int32(SHUT_WR))
        var patience = timeval(tv_sec: 1, tv_usec: 0)
        _ = unsafe setsockopt(
            socket.raw, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        // Its end of the socket closes with the process, which has buried the control process by then.
        var bytes = [UInt8](repeating: 0, count: SpawnerReport.byteCount)
        while unsafe recv(socket.raw, &bytes, bytes.count, 0) > 0 {}
    }

    private func send(_ request: SpawnerRequest, _ descriptor: Int32?) throws(TransportError) {
        let bytes = request.bytes
        var passed = descriptor ?? -1
        try SystemCall.retrying("ask the spawner") {
            unsafe weft_send_descriptors(socket.raw, bytes, bytes.count, &passed, descriptor == nil ? 0 : 1)
        }
    }

    public func nextEvent() throws(TransportError) -> LauncherEvent? {
        var bytes = [UInt8](repeating: 0, count: SpawnerReport.byteCount)
        var number: UInt32 = 0
        let count = unsafe weft_receive_descriptors(
            socket.raw, &bytes, bytes.count, nil, &number, Int32(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN || errno == EWOULDBLOCK { return nil }
        guard count > 0, let report = SpawnerReport(Array(bytes.prefix(count))) else {
            throw TransportError("hear of the spawner", code: count == 0 ? EPIPE : errno)
        }
        switch report {
        case .started(let process): return .started(process: process)
        case .ended(let code, let status): return .ended(Self.words(code, status))
        case .failed(let code): return .ended("it couldn't be started: \(SystemCall.message(code))")
        }
    }

    /// How a process ended, for people.
    private static func words(_ code: Int32, _ status: Int32) -> String {
        switch Int(code) {
        case CLD_EXITED where status == 127: "its program couldn't be run"
        case CLD_EXITED: "it ended with status \(status)"
        case CLD_KILLED, CLD_DUMPED:
            "killed by signal \(status)\(unsafe strsignal(status).map { unsafe " (\(String(cString: $0)))" } ?? "")"
        default: "it is gone"
        }
    }
}
