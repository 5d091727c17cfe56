// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftControl
import WeftFiles

/// A tunnel file and the files that it names, opened: by who may read them, for whoever is to apply them.
///
/// They are judged by their descriptors, and read from these alone, so that nobody can put others in their places in between. Whoever
/// opens them judges the folders on the way there, too.
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
    /// - Parameter trust: whose files are believed.
    /// - Throws: everything that is wrong with the file; also that a file stands there which isn't among ``named``.
    public func read(trusting trust: FileTrust) throws(TunnelFileError) -> TunnelConfiguration {
        try TunnelFile.read(path, file, trust) { name throws(KeyFileError) in
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
        let trust = FileTrust.caller
        let file = SharedDescriptor(
            try attempt(path) { () throws(FileRefusal) in
                try trust.open(path)
            })
        let named = Collected()
        let configuration = try read(path, file, trust) { name throws(KeyFileError) in
            let descriptor = try SharedDescriptor(Identity.openKeyFile(Self.path(of: name, in: path)))
            named.files.append(OpenTunnelFile.Named(name: name, descriptor: descriptor))
            return descriptor
        }
        return (OpenTunnelFile(path: path, file: file, named: named.files), configuration)
    }

    /// Reads a tunnel file from its descriptor, and what it names from those that `descriptor` gives.
    static func read(
        _ path: String, _ file: SharedDescriptor, _ trust: FileTrust,
        descriptor: @escaping (String) throws(KeyFileError) -> SharedDescriptor
    ) throws(TunnelFileError) -> TunnelConfiguration {
        let status = try attempt(path) { () throws(FileRefusal) in try trust.judge(file.raw, called: path) }
        guard status.size <= maximumSize else { throw failure(path, tooLarge) }
        let source = SharedSecret(
            try attempt(path) { () throws(FileRefusal) in
                try SecretBytes(count: status.size) { bytes throws(FileRefusal) in
                    try FileContents.read(file.raw, into: &bytes, called: path)
                }
            })
        let readIdentity = { (name: String) throws(KeyFileError) -> Identity in
            try Identity(contentsOf: descriptor(name), called: Self.path(of: name, in: path), trusting: trust)
        }
        let readPresharedKey = { (name: String) throws(KeyFileError) -> PresharedKey in
            try PresharedKey(contentsOf: descriptor(name), called: Self.path(of: name, in: path), trusting: trust)
        }
        return try parse(source, name: path, readIdentity: readIdentity, readPresharedKey: readPresharedKey) {
            holdsKeys in
            guard holdsKeys, status.mode & 0o044 != 0 else { return nil }
            return "others can read this file and it holds keys: run chmod 600 \(path)"
        }
    }

    /// Where a file that a tunnel file names lies: its path is meant from where the tunnel file does.
    private static func path(of name: String, in path: String) -> String {
        guard !name.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return name }
        return path[...slash] + name
    }

    /// What was opened so far, by the one thread that reads the file.
    private final class Collected { var files: [OpenTunnelFile.Named] = [] }
}
