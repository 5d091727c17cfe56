// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Why the kernel refused something: an errno.
struct SystemError: Error, Hashable, CustomStringConvertible {
    let code: Int32

    /// The calling thread's last error.
    static var last: SystemError { SystemError(code: errno) }

    /// What the C library calls it, such as "Permission denied".
    var description: String { SystemCall.message(code) }
}

/// What is done to files and folders.
extension FileDescriptor {
    /// Opens a path. Children of this process don't inherit the descriptor.
    init(path: String, flags: Int32) throws(SystemError) {
        // The kernel only reads the path, which lives as long as the call.
        self.init(owning: try Self.retrying { unsafe Glibc.open(path, flags | O_CLOEXEC) })
    }

    /// Opens what `name` means in this folder.
    func open(_ name: String, flags: Int32, mode: mode_t = 0) throws(SystemError) -> FileDescriptor {
        // As above.
        FileDescriptor(owning: try Self.retrying { unsafe openat(raw, name, flags | O_CLOEXEC, mode) })
    }

    func remove(_ name: String) throws(SystemError) {
        // As above.
        _ = try Self.retrying { unsafe unlinkat(raw, name, 0) }
    }

    /// Gives a file of this folder another name, in place of what had it.
    func rename(_ old: String, to new: String) throws(SystemError) {
        // As above.
        _ = try Self.retrying { unsafe renameat(raw, old, raw, new) }
    }

    func status() throws(SystemError) -> stat {
        var status = stat()
        // The kernel fills a structure that outlives the call.
        guard unsafe fstat(raw, &status) == 0 else { throw .last }
        return status
    }

    func setMode(_ mode: mode_t) throws(SystemError) {
        guard fchmod(raw, mode) == 0 else { throw .last }
    }

    /// Hands it over, unless there is nobody to hand it to.
    func hand(to owner: FileOwner?) throws(SystemError) {
        do throws(TransportError) { try owner?.take(raw) } catch { throw SystemError(code: error.code) }
    }

    /// Returns when the contents are on the disk.
    func synchronize() throws(SystemError) {
        _ = try Self.retrying { fsync(raw) }
    }

    /// Gives the lock back, also if copies of the descriptor stay open.
    func unlock() { _ = flock(raw, LOCK_UN) }

    /// Takes the exclusive lock; false if another holder of the same file has it.
    func lock() throws(SystemError) -> Bool {
        do throws(SystemError) {
            _ = try Self.retrying { flock(raw, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            return false
        }
    }

    func truncate() throws(SystemError) {
        _ = try Self.retrying { ftruncate(raw, 0) }
    }

    func write(_ bytes: [UInt8]) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = try Self.retrying { () -> Int in
                // The kernel reads at most as many bytes as the buffer has.
                unsafe rest.withUnsafeBytes { unsafe Glibc.write(raw, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(written)
        }
    }

    /// Reads from the file's begin until it ends or `limit` bytes have come. Not for secrets: nobody wipes the result.
    func read(limit: Int) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        var count = 0
        while count < limit {
            let got = try Self.retrying { () -> Int in
                // The kernel writes at most into the part of the buffer that is still free.
                unsafe bytes[count...].withUnsafeMutableBytes { free in
                    unsafe pread(raw, free.baseAddress, free.count, off_t(count))
                }
            }
            if got == 0 { break }
            count += got
        }
        return Array(bytes.prefix(count))
    }

    /// Repeats a system call that a signal interrupted. Its result is negative if it failed.
    private static func retrying<Result: SignedInteger>(_ call: () -> Result) throws(SystemError) -> Result {
        do throws(TransportError) {
            return try SystemCall.retrying("use a file", call)
        } catch {
            throw SystemError(code: error.code)
        }
    }
}
