// SPDX-License-Identifier: Apache-2.0

/// Both ends have the same identity, so neither is the initiator.
public struct RoleElectionError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String {
        "both ends have the same identity key: generate a key of its own for each end"
    }
}
