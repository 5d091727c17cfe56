// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftControl

extension TunnelFile {
    /// Reads a tunnel file.
    ///
    /// It must be writable by its owner only, and one that holds keys readable by him only.
    ///
    /// - Throws: everything that is wrong with the file, or why it can't be read. Messages call it `path`.
    public static func load(path: String) throws(TunnelFileError) -> TunnelConfiguration {
        let configuration = try open(path: path).1
        try checkThrough(configuration, path)
        return configuration
    }

    /// Follows the tunnels that this one goes through, as far as their files lie beside this one's.
    private static func checkThrough(_ configuration: TunnelConfiguration, _ path: String) throws(TunnelFileError) {
        let start = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let file = path[start...]
        var chain = [String(file.hasSuffix(".conf") ? file.dropLast(5) : file)]
        var next = configuration.interface.through
        while let name = next {
            guard !chain.contains(name) else {
                let words = (chain + [name]).joined(separator: " goes through ")
                throw TunnelFileError(
                    file: path,
                    diagnostics: [
                        TunnelFileDiagnostic(
                            line: configuration.interface.lines[.through],
                            message: "Through: \(words): expected one that goes through none of them")
                    ])
            }
            chain.append(name)
            next = (try? open(path: "\(path[..<start])\(name).conf").1)?.interface.through
        }
    }

    static func attempt<Result: ~Copyable>(
        _ operation: String, _ path: String, _ body: () throws(SystemError) -> Result
    ) throws(TunnelFileError) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            throw failure(path, "cannot \(operation) this file: \(error)")
        }
    }

    /// What others could do with the file.
    static func exposure(of path: String, mode: mode_t, holdsKeys: Bool) -> String? {
        if holdsKeys, mode & (S_IRGRP | S_IROTH) != 0 {
            return "others can read this file and it holds keys: run chmod 600 \(path)"
        }
        if mode & (S_IWGRP | S_IWOTH) != 0 {
            return "others can change this file, and with it who is let in: run chmod 600 \(path)"
        }
        return nil
    }

    static func failure(_ path: String, _ message: String) -> TunnelFileError {
        TunnelFileError(file: path, diagnostics: [TunnelFileDiagnostic(line: nil, message: message)])
    }
}
