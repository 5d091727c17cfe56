// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization

/// A descriptor that several threads use and one closes once they have stopped.
public final class SharedDescriptor: Sendable {
    /// The descriptor; not to be used after ``close()``.
    public let raw: Int32
    private let owner: Mutex<FileDescriptor?>

    public init(_ descriptor: consuming FileDescriptor) {
        raw = descriptor.raw
        owner = Mutex(consume descriptor)
    }

    /// Closes it; twice is harmless.
    public func close() { owner.withLock { $0 = nil } }
}
