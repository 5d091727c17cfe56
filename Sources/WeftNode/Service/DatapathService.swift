// SPDX-License-Identifier: Apache-2.0
import Weft

/// Carries packets.
final class DatapathService: NodeService {
    let name = "weft"
    private let datapath: any TunnelDatapath

    init(_ datapath: any TunnelDatapath) { self.datapath = datapath }

    func run() throws(ServiceFailure) {
        do throws(DatapathError) { try datapath.run() } catch { throw ServiceFailure(error.description) }
    }

    func close() { datapath.close() }
}
