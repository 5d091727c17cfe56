// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// Owns a file descriptor and closes it.
public struct FileDescriptor: ~Copyable, Sendable {
    public let raw: Int32

    /// Takes over an open descriptor.
    public init(owning raw: Int32) { self.raw = raw }

    deinit { _ = Glibc.close(raw) }
}
