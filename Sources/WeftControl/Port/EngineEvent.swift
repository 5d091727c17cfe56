// SPDX-License-Identifier: Apache-2.0
import Weft

/// What an engine answers to what was asked of it by an ``EnginePort``.
public enum EngineEvent: Hashable, Sendable {
    /// SAs of a network were refused, in words for people.
    case refused(NetworkID, why: String)
    /// A granted network couldn't be added.
    case grantRefused(vni: UInt32)
}
