// SPDX-License-Identifier: Apache-2.0

/// Packets of a batch that follow one another to one network.
struct SealRun: BitwiseCopyable {
    private let first: Int
    private let end: Int
    let network: SealTarget

    init(plans: Range<Int>, network: SealTarget) {
        first = plans.lowerBound
        end = plans.upperBound
        self.network = network
    }

    /// Where their plans stand.
    var plans: Range<Int> { first..<end }
}
