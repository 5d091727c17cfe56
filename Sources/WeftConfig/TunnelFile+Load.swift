// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftControl
import WeftFiles

extension TunnelFile {
    /// Reads a tunnel file.
    ///
    /// It must be writable by nobody but root and the caller, the folders and links on the way to it included, and one that holds
    /// keys readable by its owner only.
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
        _ path: String, _ body: () throws(FileRefusal) -> Result
    ) throws(TunnelFileError) -> Result {
        do throws(FileRefusal) {
            return try body()
        } catch {
            throw failure(path, complaint(error, path))
        }
    }

    /// What to say of a refusal behind the file's own name.
    private static func complaint(_ refusal: FileRefusal, _ path: String) -> String {
        switch refusal {
        case .notRegular: "expected a regular file, found something else"
        case .writable(path, .file, _):
            "others can change this file, and with it who is let in: run chmod 600 \(path)"
        case .system(let operation, path, let errno): "cannot \(operation) this file: \(SystemCall.message(errno))"
        default: refusal.path == path ? refusal.complaint : refusal.description
        }
    }

    static func failure(_ path: String, _ message: String) -> TunnelFileError {
        TunnelFileError(file: path, diagnostics: [TunnelFileDiagnostic(line: nil, message: message)])
    }
}
