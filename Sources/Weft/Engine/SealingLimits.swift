// SPDX-License-Identifier: Apache-2.0

/// What a key may seal at most, agreed on or carried by hand.
package enum SealingLimits {
    /// No counter is higher, so that none can wrap: 2^60.
    package static let counter: UInt64 = 1 << 60
    /// Packets: at most 2^48 blocks, with which GCM's output is told from random with a chance below 2^-32 (a block cipher is a
    /// permutation, and so many blocks without a repetition begin to show it).
    package static let packets: UInt64 = 1 << 36
}
