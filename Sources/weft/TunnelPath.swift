// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftCommand
import WeftFiles

/// A tunnel as the operator names it: a file, or a bare name that stands for /etc/weft/NAME.conf, or for whoever isn't root for
/// ~/.config/weft/NAME.conf where there is one.
struct TunnelPath {
    let file: String
    /// The file's name without its ending: the interface's name.
    let name: String

    init(_ argument: String) {
        let isBare = !argument.contains("/") && !argument.hasSuffix(".conf")
        file = isBare ? Self.file(of: argument) : argument
        let last = file.split(separator: "/").last.map(String.init) ?? file
        name = last.hasSuffix(".conf") ? String(last.dropLast(5)) : last
    }

    private static func file(of name: String) -> String {
        if geteuid() != 0, let folder = UserFolders.configuration {
            let own = "\(folder)/\(name).conf"
            if unsafe access(own, F_OK) == 0 { return own }
        }
        return "/etc/weft/\(name).conf"
    }

    /// - Throws: unless an interface can be called so.
    func checkName() throws(CommandFailure) {
        guard InterfaceName.isValidForTunnel(name) else {
            throw CommandFailure(
                .failed,
                "\(file): the interface is named like the file, and \"\(name)\" can't be a name: "
                    + "rename the file to 1 to 15 letters, digits, - _ or . before .conf")
        }
    }
}
