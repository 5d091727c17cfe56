// SPDX-License-Identifier: Apache-2.0

/// A system call that failed.
public struct TransportError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, such as `read from weft0`.
    public let operation: String
    /// The `errno` that it failed with.
    public let code: Int32

    public init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    public var description: String { "cannot \(operation): \(SystemCall.message(code))" }
}
