// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftCommand

/// Keeps a second agent from running for the same map, and says who runs.
///
/// Two locks of one file: flock(2), which agents of all releases take, and fcntl(2)'s, which tells the process that has it.
struct RunLock: ~Copyable {
    private let descriptor: FileDescriptor

    private static func open(_ name: String, _ flags: Int32) -> FileDescriptor? {
        let path = path(of: name)
        let raw = unsafe Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0o600 as mode_t)
        return raw >= 0 ? FileDescriptor(owning: raw) : nil
    }

    private static func path(of name: String) -> String {
        "\(RuntimeFolder.path)/tunnel-map-\(name.filter { $0 != "/" }).lock"
    }

    private static func call(_ command: Int32, on raw: Int32, _ region: inout flock) -> Bool {
        region.l_type = Int16(F_WRLCK)
        region.l_whence = Int16(SEEK_SET)
        // SAFETY: the kernel reads and writes a structure that outlives the call. All zeros: the whole file.
        return unsafe withUnsafeMutablePointer(to: &region) { unsafe fcntl(raw, command, $0) } == 0
    }

    init(_ name: String) throws(CommandFailure) {
        try RuntimeFolder.make()
        guard let descriptor = Self.open(name, O_CREAT) else {
            throw CommandFailure(.failed, "cannot open \(Self.path(of: name)): \(SystemCall.message(errno))")
        }
        var region = flock()
        guard flock(descriptor.raw, LOCK_EX | LOCK_NB) == 0, Self.call(F_SETLK, on: descriptor.raw, &region) else {
            throw CommandFailure(.failed, "an agent is running for the tunnel map \(name) already; stop it first")
        }
        self.descriptor = descriptor
    }

    /// At the end rather than at the last use.
    consuming func release() {}

    /// Whether an agent runs for a map.
    static func isHeld(_ name: String) -> Bool {
        guard let descriptor = open(name, 0) else { return false }
        return flock(descriptor.raw, LOCK_SH | LOCK_NB) != 0
    }

    /// How long an agent may take to end.
    private static let patience = Duration.seconds(5)

    /// Ends the agent that runs for a map, if one does, so that it can't bring back what is removed.
    static func endHolder(of name: String) throws(CommandFailure) {
        guard isHeld(name), let descriptor = open(name, 0) else { return }
        var region = flock()
        guard call(F_GETLK, on: descriptor.raw, &region), region.l_type != Int16(F_UNLCK), region.l_pid > 0,
            kill(region.l_pid, SIGTERM) == 0
        else {
            throw CommandFailure(.failed, "an agent is running for the tunnel map \(name): stop it first")
        }
        let end = ContinuousClock.now + patience
        while isHeld(name) {
            guard ContinuousClock.now < end else {
                throw CommandFailure(
                    .failed, "the agent of the tunnel map \(name), process \(region.l_pid), does not end: stop it first"
                )
            }
            usleep(20_000)
        }
    }
}
