// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why a process couldn't be confined. It must not go on then.
public struct SandboxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, such as `drop capabilities`.
    public let operation: String
    /// The `errno` that it failed with.
    public let code: Int32

    init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    public var description: String {
        "cannot \(operation), which confines the process: \(SystemCall.message(code))"
    }
}
