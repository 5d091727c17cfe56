// SPDX-License-Identifier: Apache-2.0
import WeftDiscovery

/// Asks STUN servers, and answers those who ask.
final class STUNService: NodeService {
    let name = "weft-stun"
    private let agent: STUNAgent

    init(_ agent: STUNAgent) { self.agent = agent }

    func run() { agent.run() }

    func close() { agent.close() }
}
