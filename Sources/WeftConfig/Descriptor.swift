// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Why the kernel refused something: an errno.
struct SystemError: Error, Hashable, CustomStringConvertible {
    let code: Int32

    /// The calling thread's last error.
    static var last: SystemError { SystemError(code: errno) }

    /// What the C library calls it, such as "Permission denied".
    var description: String {
        // strerror's text is valid until this thread asks again, and is copied before that.
        guard let text = unsafe strerror(code) else { return "error \(code)" }
        return unsafe String(cString: text)
    }
}

/// An open file or folder; closes when it goes out of scope.
struct Descriptor: ~Copyable {
    private let number: Int32

    private init(owning number: Int32) {
        self.number = number
    }

    /// Opens a path. Children of this process don't inherit the descriptor.
    init(path: String, flags: Int32) throws(SystemError) {
        // The kernel only reads the path, which lives as long as the call.
        number = try Self.retrying { unsafe Glibc.open(path, flags | O_CLOEXEC) }
    }

    deinit {
        close(number)
    }

    /// Opens what `name` means in this folder.
    func open(_ name: String, flags: Int32, mode: mode_t = 0) throws(SystemError) -> Descriptor {
        // As above.
        Descriptor(owning: try Self.retrying { unsafe openat(number, name, flags | O_CLOEXEC, mode) })
    }

    func remove(_ name: String) throws(SystemError) {
        // As above.
        _ = try Self.retrying { unsafe unlinkat(number, name, 0) }
    }

    /// Gives a file of this folder another name, in place of what had it.
    func rename(_ old: String, to new: String) throws(SystemError) {
        // As above.
        _ = try Self.retrying { unsafe renameat(number, old, number, new) }
    }

    func status() throws(SystemError) -> stat {
        var status = stat()
        // The kernel fills a structure that outlives the call.
        guard unsafe fstat(number, &status) == 0 else { throw .last }
        return status
    }

    func setMode(_ mode: mode_t) throws(SystemError) {
        guard fchmod(number, mode) == 0 else { throw .last }
    }

    /// Returns when the contents are on the disk.
    func synchronize() throws(SystemError) {
        _ = try Self.retrying { fsync(number) }
    }

    /// Gives the lock back, also if copies of the descriptor stay open.
    func unlock() { _ = flock(number, LOCK_UN) }

    /// Takes the exclusive lock; false if another holder of the same file has it.
    func lock() throws(SystemError) -> Bool {
        do throws(SystemError) {
            _ = try Self.retrying { flock(number, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            return false
        }
    }

    func truncate() throws(SystemError) {
        _ = try Self.retrying { ftruncate(number, 0) }
    }

    func write(_ bytes: [UInt8]) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = try Self.retrying { () -> Int in
                // The kernel reads at most as many bytes as the buffer has.
                unsafe rest.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(written)
        }
    }

    /// Reads until the file ends or `limit` bytes have come.
    func read(limit: Int) throws(SystemError) -> SecretBytes {
        try SecretBytes(capacity: limit) { span throws(SystemError) in
            var count = 0
            while count < limit {
                let got = try Self.retrying { () -> Int in
                    // The kernel writes at most into the part of the buffer that is still free.
                    unsafe span.withUnsafeMutableBytes { buffer in
                        let free = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
                        return unsafe Glibc.read(number, free.baseAddress, free.count)
                    }
                }
                if got == 0 { break }
                count += got
            }
            return count
        }
    }

    /// Repeats a system call that a signal interrupted. Its result is negative if it failed.
    private static func retrying<Result: SignedInteger>(_ call: () -> Result) throws(SystemError) -> Result {
        while true {
            let result = call()
            if result >= 0 { return result }
            let error = SystemError.last
            if error.code != EINTR { throw error }
        }
    }
}
