// SPDX-License-Identifier: Apache-2.0
import WeftCommand
import WeftConfig

/// `weft keyserve`: runs a tunnel whose networks initiators ask for, and hands out their keys.
enum KeyServe {
    static func run(_ arguments: [String]) throws(CommandFailure) { try Up.start(arguments, .keyserve) }

    /// Refuses a file that is meant for the other verb.
    static func check(_ file: TunnelConfiguration, isFor verb: Verb, operand: String) throws(CommandFailure) {
        let (line, finding): (Int, String)
        if verb == .keyserve, let peer = file.peers.first {
            line = peer.lines.header
            finding = "[Peer] makes this a tunnel's file: run `weft up \(operand)`, or write [Initiator]s instead"
        } else if verb == .keyserve, file.interface.identity == nil {
            line = file.interface.lines.header
            finding =
                "PrivateKeyFile is missing in [Interface]: initiators know a key server by its key, "
                + "which `weft genkey` makes"
        } else if verb == .up, let initiator = file.initiators.first {
            line = initiator.lines.header
            finding = "[Initiator] makes this a key server's file: run `weft keyserve \(operand)`"
        } else {
            return
        }
        throw CommandFailure(.failed, "\(file.file):\(line): \(finding)")
    }
}
