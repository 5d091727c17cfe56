// SPDX-License-Identifier: Apache-2.0
import Weft

/// Who suggested that a peer might be somewhere, the more telling the higher.
public enum PathOrigin: Int, Hashable, Sendable, Comparable {
    /// A datagram of its came from there.
    case source
    /// The file does, by an address or a name.
    case name
    /// Its control session does: QUIC has had answers from there.
    case session
    /// The file has come to say so, by another name.
    case newName

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
