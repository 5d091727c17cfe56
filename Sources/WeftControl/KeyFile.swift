// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftFiles

/// Why a key file couldn't be read or written.
public enum KeyFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A file of this name exists and wasn't to be replaced.
    case exists(path: String)
    /// Group or others may use the file, which has these permission bits.
    case exposed(path: String, mode: UInt32)
    case notRegular(path: String)
    /// It, or a folder or link on the way to it, isn't believed.
    case refused(FileRefusal)
    /// More bytes than ``Identity/maximumKeyFileByteCount``.
    case tooLarge(path: String)
    /// The system refused `operation` with this errno.
    case system(operation: String, path: String, errno: Int32)
    /// The file was read, but holds no identity.
    case identity(path: String, IdentityError)
    /// The file was read, but holds no preshared key.
    case noPresharedKey(path: String)

    public var description: String {
        switch self {
        case .exists(let path):
            "\(path) exists: choose another name, or force it to be replaced"
        case .exposed(let path, let mode):
            "\(path) is open to group or others (mode 0\(String(mode, radix: 8))): run chmod 600 \(path)"
        case .notRegular(let path):
            "\(path) isn't a regular file: name the file that holds the private key"
        case .refused(let refusal):
            refusal.description
        case .tooLarge(let path):
            "\(path) is too large for a key file: name the file that holds the private key"
        case .system(let operation, let path, let errno):
            "cannot \(operation) \(path): \(Self.advice(errno))"
        case .identity(let path, let error):
            "\(path): \(error)"
        case .noPresharedKey(let path):
            "\(path) holds no preshared key: put what `weft genpsk` prints into it, 44 characters that end in ="
        }
    }

    private static func advice(_ number: Int32) -> String {
        let reason = SystemCall.message(number)
        return switch number {
        case ENOENT: "\(reason): check the path"
        case EACCES, EPERM: "\(reason): run as the file's owner or as root"
        case ENOSPC, EDQUOT: "\(reason): free some space"
        case EROFS: "\(reason): choose a writable folder"
        default: reason
        }
    }
}

extension Identity {
    /// The most bytes that a key file may have. A key takes 241.
    public static let maximumKeyFileByteCount = 16 * 1024

    /// Reads a key file, as ``write(to:force:)`` makes it.
    ///
    /// Throws a ``KeyFileError``: among others when group or others have any permission on the file, when it isn't a
    /// regular one, or when anybody but root and the caller can put another in its place. A symbolic link is followed.
    public init(contentsOf path: String) throws(KeyFileError) {
        try self.init(contentsOf: SharedDescriptor(Self.openKeyFile(path)), called: path, trusting: .caller)
    }

    /// Reads an open key file from its begin, as above.
    ///
    /// - Parameters:
    ///   - path: how errors call it.
    ///   - trust: whose files are believed.
    public init(
        contentsOf file: SharedDescriptor, called path: String, trusting trust: FileTrust
    ) throws(KeyFileError) {
        let text = try KeyFile.readAll(file.raw, path, trust)
        do {
            try self.init(pem: text.span)
        } catch {
            throw .identity(path: path, error)
        }
    }

    /// Opens what may be a key file, along a way that nobody but root and the caller can change; nothing is read yet.
    public static func openKeyFile(_ path: String) throws(KeyFileError) -> FileDescriptor { try KeyFile.open(path) }

    /// Writes the private key to a file that only its owner can read and write (mode 0600).
    ///
    /// A file of that name is an error, unless `force` says to replace it: that happens at once, so that no reader and
    /// no crash sees half a key. After an error nothing of the new key is left behind.
    public func write(to path: String, force: Bool = false) throws(KeyFileError) {
        let text = pem()
        guard force else {
            return try KeyFile.create(path, with: text)
        }
        let temporary = "\(path).\(UInt64.random(in: .min ... .max))"
        try KeyFile.create(temporary, with: text)
        guard unsafe rename(temporary, path) == 0 else {
            let error = KeyFileError.system(operation: "replace", path: path, errno: errno)
            unsafe unlink(temporary)
            throw error
        }
    }
}

extension PresharedKey {
    /// Reads an open file with a key in base64, by the rules for key files.
    ///
    /// - Parameters:
    ///   - path: how errors call it.
    ///   - trust: whose files are believed.
    public convenience init(
        contentsOf file: SharedDescriptor, called path: String, trusting trust: FileTrust
    ) throws(KeyFileError) {
        let text = try KeyFile.readAll(file.raw, path, trust)
        let bytes = text.span
        var end = bytes.count
        // What a shell's redirection adds.
        while end > 0, [0x0A, 0x0D, 0x20].contains(bytes[end - 1]) { end -= 1 }
        guard let secret = SecretBytes(base64: bytes.extracting(first: end), count: Self.byteCount),
            !Self.isZero(secret)
        else { throw .noPresharedKey(path: path) }
        self.init(checked: secret)
    }
}

/// An open key file.
private struct KeyFile: ~Copyable {
    private let descriptor: FileDescriptor
    private let path: String

    private init(_ path: String, flags: Int32) throws(KeyFileError) {
        descriptor = try Self.descriptor(path, flags: flags)
        self.path = path
    }

    private static func descriptor(_ path: String, flags: Int32) throws(KeyFileError) -> FileDescriptor {
        let descriptor = unsafe Glibc.open(path, flags | O_CLOEXEC, 0o600 as mode_t)
        guard descriptor >= 0 else {
            let number = errno
            guard number != EEXIST else { throw .exists(path: path) }
            throw .system(operation: "create", path: path, errno: number)
        }
        return FileDescriptor(owning: descriptor)
    }

    static func open(_ path: String) throws(KeyFileError) -> FileDescriptor {
        try attempt { () throws(FileRefusal) in try FileTrust.caller.open(path) }
    }

    static func create(_ path: String, with text: borrowing SecretBytes) throws(KeyFileError) {
        let file = try KeyFile(path, flags: O_WRONLY | O_CREAT | O_EXCL)
        do {
            try file.write(text.span)
        } catch {
            unsafe unlink(path)
            throw error
        }
    }

    /// The whole file, after its kind, permissions, owner and size were found good.
    static func readAll(_ descriptor: Int32, _ path: String, _ trust: FileTrust) throws(KeyFileError) -> SecretBytes {
        let status = try attempt { () throws(FileRefusal) in try trust.judge(descriptor, called: path) }
        guard status.mode & 0o077 == 0 else { throw .exposed(path: path, mode: status.mode) }
        guard status.size <= Identity.maximumKeyFileByteCount else { throw .tooLarge(path: path) }
        return try attempt { () throws(FileRefusal) in
            try SecretBytes(count: status.size) { bytes throws(FileRefusal) in
                try FileContents.read(descriptor, into: &bytes, called: path)
            }
        }
    }

    /// Says in a key file's words what is wrong with a file.
    private static func attempt<Result: ~Copyable>(
        _ body: () throws(FileRefusal) -> Result
    ) throws(KeyFileError) -> Result {
        do throws(FileRefusal) {
            return try body()
        } catch {
            switch error {
            case .notRegular(let path): throw .notRegular(path: path)
            case .writable(let path, .file, let mode): throw .exposed(path: path, mode: mode)
            case .system(let operation, let path, let errno):
                throw .system(operation: operation, path: path, errno: errno)
            default: throw .refused(error)
            }
        }
    }

    private func write(_ bytes: Span<UInt8>) throws(KeyFileError) {
        // The umask may have taken the owner's own permissions away.
        guard fchmod(descriptor.raw, 0o600) == 0 else { throw failure("set the mode of") }
        var offset = 0
        while offset < bytes.count {
            let rest = bytes.extracting(offset...)
            // Safe: it reads at most the count that goes with the pointer.
            let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor.raw, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw failure("write") }
            offset += written
        }
        guard fsync(descriptor.raw) == 0 else { throw failure("write") }
    }

    private func failure(_ operation: String) -> KeyFileError {
        .system(operation: operation, path: path, errno: errno)
    }
}

extension SecretBytes {
    /// A small file that nobody but its owner, root or the caller, has any right to, as a whole.
    package init(contentsOf path: String) throws(KeyFileError) {
        let file = try KeyFile.open(path)
        self = try KeyFile.readAll(file.raw, path, .caller)
    }
}
