// SPDX-License-Identifier: Apache-2.0

/// What `weft` exits with; scripts may rely on it.
package enum ExitCode: Int32, Sendable {
    case done = 0
    case failed = 1
    case usage = 2
    case notUp = 3
}
