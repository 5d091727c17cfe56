// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftControl

/// A tunnel file and the files that it names, opened: by who may read them, for whoever is to apply them.
///
/// They are judged by their descriptors, and read from these alone, so that nobody can put others in their places in between.
public struct OpenTunnelFile: Sendable {
    /// The most files that one may name: what comes from another process is bounded.
    public static let mostNamed = 32

    /// A file that stands in the tunnel file.
    public struct Named: Sendable {
        /// As it stands there.
        public let name: String
        public let descriptor: SharedDescriptor

        public init(name: String, descriptor: SharedDescriptor) {
            self.name = name
            self.descriptor = descriptor
        }
    }

    /// How messages call the tunnel file.
    public let path: String
    public let file: SharedDescriptor
    /// Each once, in the order in which they stand there.
    public let named: [Named]

    /// Takes what another process opened.
    public init(path: String, file: SharedDescriptor, named: [Named]) {
        self.path = path
        self.file = file
        self.named = named
    }

    /// Reads them.
    ///
    /// - Parameter owners: the users whose files are believed; nil believes everybody's that could be opened.
    /// - Throws: everything that is wrong with the file; also that a file stands there which isn't among ``named``.
    public func read(ownedBy owners: Set<uid_t>?) throws(TunnelFileError) -> TunnelConfiguration {
        try TunnelFile.read(path, file, ownedBy: owners) { name throws(KeyFileError) in
            guard let found = named.first(where: { $0.name == name }) else {
                throw .system(operation: "find among the files that came along", path: name, errno: ENOENT)
            }
            return found.descriptor
        }
    }
}

extension TunnelFile {
    /// Opens a tunnel file and all that it names.
    ///
    /// - Throws: everything that is wrong with the file, which is read on the way, or why it can't be read.
    public static func open(path: String) throws(TunnelFileError) -> (OpenTunnelFile, TunnelConfiguration) {
        // Opening a pipe would wait for a writer without O_NONBLOCK.
        let file = SharedDescriptor(
            try attempt("open", path) { () throws(SystemError) in
                try FileDescriptor(path: path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
            })
        let named = Collected()
        let configuration = try read(path, file, ownedBy: nil) { name throws(KeyFileError) in
            let descriptor = try SharedDescriptor(Identity.openKeyFile(Self.path(of: name, in: path)))
            named.files.append(OpenTunnelFile.Named(name: name, descriptor: descriptor))
            return descriptor
        }
        return (OpenTunnelFile(path: path, file: file, named: named.files), configuration)
    }

    /// Reads a tunnel file from its descriptor, and what it names from those that `descriptor` gives.
    static func read(
        _ path: String, _ file: SharedDescriptor, ownedBy owners: Set<uid_t>?,
        descriptor: @escaping (String) throws(KeyFileError) -> SharedDescriptor
    ) throws(TunnelFileError) -> TunnelConfiguration {
        let status = try attempt("look at", path) { () throws(SystemError) in try FileDescriptor.status(of: file.raw) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw failure(path, "expected a regular file, found something else")
        }
        if let owners, !owners.contains(status.st_uid) {
            throw failure(
                path, "belongs to user \(status.st_uid), who is neither root nor the caller: run chown root \(path)")
        }
        // One byte too many is enough to see that it is too large.
        let source = try attempt("read", path) { () throws(SystemError) in
            try FileDescriptor.read(file.raw, limit: maximumSize + 1)
        }
        let readIdentity = { (name: String) throws(KeyFileError) -> Identity in
            try Identity(contentsOf: descriptor(name), called: Self.path(of: name, in: path), ownedBy: owners)
        }
        var configuration = try parse(source, name: path, readIdentity: readIdentity) { holdsKeys in
            exposure(of: path, mode: status.st_mode, holdsKeys: holdsKeys)
        }
        configuration.owner = status.st_uid
        return configuration
    }

    /// Where a file that a tunnel file names lies: its path is meant from where the tunnel file does.
    private static func path(of name: String, in path: String) -> String {
        guard !name.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return name }
        return path[...slash] + name
    }

    /// What was opened so far, by the one thread that reads the file.
    private final class Collected { var files: [OpenTunnelFile.Named] = [] }
}
