// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftControl

extension TunnelFile {
    /// Reads a tunnel file.
    ///
    /// A file that holds keys must be readable and writable by its owner only.
    ///
    /// - Throws: everything that is wrong with the file, or why it can't be read. Messages call it `path`.
    public static func load(path: String) throws(TunnelFileError) -> TunnelConfiguration {
        // Opening a pipe would wait for a writer without O_NONBLOCK.
        let file = try attempt("open", path) { () throws(SystemError) in
            try FileDescriptor(path: path, flags: O_RDONLY | O_NONBLOCK)
        }
        let mode = try attempt("read", path) { () throws(SystemError) in try file.status().st_mode }
        guard mode & S_IFMT == S_IFREG else { throw failure(path, "expected a regular file, found something else") }
        // One byte too many is enough to see that it is too large.
        let source = try attempt("read", path) { () throws(SystemError) in try file.read(limit: maximumSize + 1) }
        // A key file's path is meant from where the tunnel file lies.
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let readIdentity = { (file: String) throws(KeyFileError) -> Identity in
            try Identity(contentsOf: file.hasPrefix("/") ? file : folder + file)
        }
        return try parse(source, name: path, readIdentity: readIdentity) { holdsKeys in
            holdsKeys ? exposure(of: path, mode: mode) : nil
        }
    }

    private static func attempt<Result: ~Copyable>(
        _ operation: String, _ path: String, _ body: () throws(SystemError) -> Result
    ) throws(TunnelFileError) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            throw failure(path, "cannot \(operation) this file: \(error)")
        }
    }

    /// What others could do with the file.
    private static func exposure(of path: String, mode: mode_t) -> String? {
        if mode & (S_IRGRP | S_IROTH) != 0 {
            return "others can read this file and it holds keys: run chmod 600 \(path)"
        }
        if mode & (S_IWGRP | S_IWOTH) != 0 {
            return "others can change this file and it holds keys: run chmod 600 \(path)"
        }
        return nil
    }

    private static func failure(_ path: String, _ message: String) -> TunnelFileError {
        TunnelFileError(file: path, diagnostics: [TunnelFileDiagnostic(line: nil, message: message)])
    }
}
