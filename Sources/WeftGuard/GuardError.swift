// SPDX-License-Identifier: Apache-2.0
import CWeftNftables
import Weft

/// Why the packet filter could not be read or changed.
public enum GuardError: Error, Hashable, Sendable, CustomStringConvertible {
    case unavailable(String)
    /// In nftables' own words.
    case refused(String)

    public var description: String {
        switch self {
        case .unavailable(let why): why
        case .refused(let why): "nftables: \(why)"
        }
    }
}
