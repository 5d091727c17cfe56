// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft
import WeftCommand

/// `weft tunnel-map`: becomes `weft-map`, a program of its own, so that tunnels needn't carry what speaks with etcd.
enum TunnelMapProgram {
    /// What it does, for help and completion.
    static let verbs = ["run", "show", "lookup", "drain", "down", "genkey", "mac"]

    static func run(_ arguments: [String]) throws(CommandFailure) {
        let folder = executable().flatMap { path in
            path.lastIndex(of: "/").map { String(path[..<$0]) }
        }
        let folders = [folder, "/usr/local/bin", "/usr/bin"].compactMap { $0 }
        let words = ["weft tunnel-map"] + arguments
        for folder in folders { execute("\(folder)/weft-map", words) }
        throw CommandFailure(
            .failed, "there is no weft-map in \(folders.joined(separator: ", ")): install it, it has the tunnel map")
    }

    private static func executable() -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        // SAFETY: it writes at most the buffer's size.
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0, count < buffer.count else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Returns only where there is no such program.
    private static func execute(_ path: String, _ words: [String]) {
        var copies = unsafe words.map { unsafe strdup($0) }
        unsafe copies.append(nil)
        // SAFETY: texts of our own, with nil behind the last, which outlive the call.
        _ = unsafe execv(path, &copies)
        for index in unsafe copies.indices { unsafe free(copies[index]) }
    }
}
