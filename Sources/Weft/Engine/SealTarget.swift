// SPDX-License-Identifier: Apache-2.0

/// Where a run's packets go.
struct SealTarget: BitwiseCopyable {
    let network: NetworkID
    let endpoint: Endpoint
    /// Which of our addresses they leave from.
    let local: IPAddress?
    /// The longest inner packet that goes whole.
    let longestPacket: Int
    /// The bits of inner traffic classes that outer headers get.
    let copiedClass: UInt8
    let association: NetworkView.Transmit
    let counters: CounterBlocks.View
}
