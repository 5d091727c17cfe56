// SPDX-License-Identifier: Apache-2.0
import Weft

/// Which of a session's two master keys an SA's key comes from; bit 31 of its SPI.
///
/// Only ``first`` is in use today; the other exists so that the key can be changed once the SPIs are used up.
public enum MasterKeyIndex: Int, Hashable, Sendable, CaseIterable {
    case first = 0
    case second = 1
}
