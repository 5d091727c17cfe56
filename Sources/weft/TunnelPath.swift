// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

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

/// Where running tunnels are found.
enum RuntimeFolder {
    static var path: String {
        unsafe getenv("WEFT_RUNTIME_DIRECTORY").map { unsafe String(cString: $0) } ?? "/run/weft"
    }

    static func socket(of name: String) -> String { "\(path)/\(name).sock" }

    /// Makes the folder, for root alone.
    static func make() throws(CommandFailure) {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw CommandFailure(.failed, "cannot make \(path): \(SystemCall.message(errno))")
        }
    }

    /// The tunnels that have a socket there, up or not.
    static func names() -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: unsafe bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".sock") { names.append(String(name.dropLast(5))) }
        }
        return names.sorted()
    }
}
