// SPDX-License-Identifier: Apache-2.0

/// Loses packets at random, for tests.
struct FrameDropper: Sendable {
    private var state: UInt64
    /// Of 256.
    private let share: UInt8

    init(seed: UInt64, share: UInt8) {
        state = seed | 1
        self.share = share
    }

    mutating func drops() -> Bool {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33) < share
    }
}
