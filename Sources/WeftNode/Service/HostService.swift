// SPDX-License-Identifier: Apache-2.0
import WeftGuard

/// Keeps what the node has put into the host.
final class HostService: NodeService {
    let name = "weft-host"
    private let keeper: HostKeeper

    init(_ keeper: HostKeeper) { self.keeper = keeper }

    func run() throws(ServiceFailure) {
        keeper.run()
        if let why = keeper.lossText { throw ServiceFailure(why) }
    }

    func close() { keeper.close() }

    var complaint: String? { keeper.report.trouble.first }
}
