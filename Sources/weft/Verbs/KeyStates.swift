// SPDX-License-Identifier: Apache-2.0
import WeftCommand
import WeftConfig
import WeftSandbox

/// `weft keys adopt`: takes over the states of manual keys that came with a tunnel from another machine.
enum KeyStates {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .keys, operands: 2...2)
        guard arguments.operands[0] == "adopt" else { throw CommandFailure(usage: Help.usage(of: .keys)) }
        let path = TunnelPath(arguments.operands[1]).file
        let configuration: TunnelConfiguration
        do throws(TunnelFileError) {
            configuration = try TunnelFile.load(path: path)
        } catch {
            throw CommandFailure(.failed, error.lines)
        }
        let user = ProcessUser.forData
        let owner = FileOwner(user: user.user, group: user.group)
        var isAny = false
        for peer in configuration.peers {
            guard let keys = peer.keys else { continue }
            isAny = true
            do throws(KeyStateError) {
                let isTaken = try KeyState.adopt(
                    directory: configuration.interface.stateDirectory, sendKey: keys.send, receiveKey: keys.receive,
                    epoch: keys.epoch, owner: owner)
                Console.print(
                    "peer with VNI \(peer.vni): "
                        + (isTaken ? "this machine's now, from Epoch \(keys.epoch) on" : "there is nothing to adopt"))
            } catch {
                throw CommandFailure(.failed, "peer with VNI \(peer.vni): \(error)")
            }
        }
        guard isAny else { throw CommandFailure(.failed, "\(path): no peer has manual keys (SendKey and ReceiveKey)") }
    }
}
