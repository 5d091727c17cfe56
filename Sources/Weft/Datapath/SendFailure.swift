// SPDX-License-Identifier: Apache-2.0

/// Why a transport did not take a packet.
public enum SendFailure: Hashable, Sendable {
    /// It exceeds the path's MTU.
    case tooLong
    /// Anything else, with its `errno`.
    case refused(Int32)
}
