// SPDX-License-Identifier: Apache-2.0

/// A tunnel as the operator names it: a file, or a bare name that stands for /etc/weft/NAME.conf.
struct TunnelPath {
    let file: String
    /// The file's name without its ending: the interface's name.
    let name: String

    init(_ argument: String) {
        let isBare = !argument.contains("/") && !argument.hasSuffix(".conf")
        file = isBare ? "/etc/weft/\(argument).conf" : argument
        let last = file.split(separator: "/").last.map(String.init) ?? file
        name = last.hasSuffix(".conf") ? String(last.dropLast(5)) : last
    }
}
