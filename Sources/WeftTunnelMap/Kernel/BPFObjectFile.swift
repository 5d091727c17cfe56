// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import Glibc
import Synchronization
import Weft

/// An eBPF object that libbpf opens and loads. Whoever wants to keep a map or a program takes a descriptor before it goes.
@safe
struct BPFObjectFile: ~Copyable {
    private let object: OpaquePointer

    /// Opens an ELF object; nothing is loaded yet.
    init(_ bytes: [UInt8], name: String) throws(TunnelMapError) {
        LibraryLog.install()
        var options = unsafe bpf_object_open_opts()
        // What the macro LIBBPF_OPTS would do, but for the fields that we don't set: the padding behind the last, which libbpf
        // wants to be zero, Swift leaves as it is.
        unsafe options.sz =
            (MemoryLayout<bpf_object_open_opts>.offset(of: \.object_name) ?? 8) + MemoryLayout<UInt>.size
        // SAFETY: libbpf copies what it needs of the bytes and of the name.
        let opened = unsafe name.withCString { name in
            unsafe options.object_name = name
            return unsafe bytes.withUnsafeBytes { unsafe bpf_object__open_mem($0.baseAddress, $0.count, &options) }
        }
        guard let opened = unsafe opened else { throw Self.failure("open the classifier") }
        unsafe object = opened
    }

    deinit { unsafe bpf_object__close(object) }

    /// Sets how many elements a map will have room for.
    func setCapacity(of map: String, to count: Int) throws(TunnelMapError) {
        // SAFETY: the map belongs to the object, which lives; a missing map is refused.
        guard let found = unsafe bpf_object__find_map_by_name(object, map),
            unsafe bpf_map__set_max_entries(found, UInt32(clamping: count)) == 0
        else { throw Self.failure("set the size of map \(map)") }
    }

    /// Makes the program use a map that is there already.
    func reuse(_ map: String, descriptor: Int32) throws(TunnelMapError) {
        guard let found = unsafe bpf_object__find_map_by_name(object, map),
            unsafe bpf_map__reuse_fd(found, descriptor) == 0
        else { throw Self.failure("reuse map \(map)") }
    }

    /// Makes the maps and hands the programs to the kernel's verifier.
    func load() throws(TunnelMapError) {
        LibraryLog.clear()
        guard unsafe bpf_object__load(object) == 0 else { throw Self.failure("load the classifier") }
    }

    /// A descriptor of a loaded map.
    func map(_ name: String) throws(TunnelMapError) -> FileDescriptor {
        let raw = unsafe bpf_object__find_map_fd_by_name(object, name)
        return try Self.duplicate(raw, what: "map \(name)")
    }

    /// A descriptor of a loaded program.
    func program(_ name: String) throws(TunnelMapError) -> FileDescriptor {
        let found = unsafe bpf_object__find_program_by_name(object, name)
        let raw = unsafe found.map { unsafe bpf_program__fd($0) } ?? -1
        return try Self.duplicate(raw, what: "program \(name)")
    }

    static func duplicate(_ raw: Int32, what: String) throws(TunnelMapError) -> FileDescriptor {
        let copy = raw < 0 ? -1 : fcntl(raw, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw .refused(operation: "keep \(what)", errorNumber: raw < 0 ? ENOENT : errno) }
        return FileDescriptor(owning: copy)
    }

    private static func failure(_ operation: String) -> TunnelMapError {
        let code = errno
        if code == EPERM || code == EACCES, let missing = Capabilities.missing([.bpf, .netAdmin]) {
            return .missingCapabilities(operation: operation, missing)
        }
        let said = LibraryLog.tail()
        return code == EPERM || said.isEmpty
            ? .refused(operation: operation, errorNumber: code) : .programRefused(said)
    }
}

/// Keeps libbpf from writing to standard error, and its last words for an error's text.
enum LibraryLog {
    private static let text = Mutex<String>("")

    /// Takes over what libbpf says; again is harmless.
    static func install() {
        _ = installed
    }

    private static let installed: Void = {
        _ = unsafe libbpf_set_print { level, format, arguments in
            guard let format = unsafe format, let arguments = unsafe arguments, level == LIBBPF_WARN else { return 0 }
            var line = [CChar](repeating: 0, count: 16384)
            // SAFETY: libbpf's format goes with its arguments, and at most the buffer's size is written, with a NUL.
            let count = unsafe vsnprintf(&line, line.count, format, arguments)
            let bytes = line.prefix(max(0, min(Int(count), line.count - 1))).map { UInt8(bitPattern: $0) }
            LibraryLog.append(String(decoding: bytes, as: UTF8.self))
            return count
        }
    }()

    private static func append(_ line: String) {
        text.withLock { $0 = String(($0 + line).suffix(16384)) }
    }

    static func clear() { text.withLock { $0 = "" } }

    /// The last lines.
    static func tail() -> String {
        text.withLock { text in
            text.split(separator: "\n").suffix(12).joined(separator: "\n")
        }
    }
}
