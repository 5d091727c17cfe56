// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Where running tunnels are found.
package enum RuntimeFolder {
    package static var path: String {
        unsafe getenv("WEFT_RUNTIME_DIRECTORY").map { unsafe String(cString: $0) } ?? "/run/weft"
    }

    package static func socket(of name: String) -> String { "\(path)/\(name).sock" }

    /// Makes the folder, for root alone.
    package static func make() throws(CommandFailure) {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw CommandFailure(.failed, "cannot make \(path): \(SystemCall.message(errno))")
        }
    }

    /// The tunnels that have a socket there, up or not.
    package static func names() -> [String] {
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
