// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import CWeftLinux
import Glibc
import Weft

/// Where maps, programs and links are pinned so that they outlive us.
public enum BPFFileSystem {
    private static let usual = "/sys/fs/bpf"

    /// Where we mount one if the usual place has none.
    public static var ownMountPoint: String { runtimeFolder + "/bpf" }

    /// `/run/weft`, or what WEFT_RUNTIME_DIRECTORY says.
    static var runtimeFolder: String {
        unsafe getenv("WEFT_RUNTIME_DIRECTORY").map { unsafe String(cString: $0) } ?? "/run/weft"
    }

    /// The folder of our pins, on a BPF file system that is there; nil if there is none.
    public static func existingFolder() -> String? {
        [usual, ownMountPoint].first { isBPF($0) }.map { $0 + "/weft" }
    }

    /// The folder of our pins. Mounts a BPF file system of our own where there is none.
    static func folder() throws(TunnelMapError) -> String {
        if let folder = existingFolder() {
            try make(folder)
            return folder
        }
        try make(runtimeFolder)
        try make(ownMountPoint)
        // SAFETY: the kernel only reads the texts, which live as long as the call.
        guard unsafe mount("bpf", ownMountPoint, "bpf", mountFlags, "mode=0700") == 0
        else {
            let code = errno
            let operation = "mount a BPF file system at \(ownMountPoint)"
            if code == EPERM {
                throw .missingCapabilities(operation: operation, Capabilities.missing([.sysAdmin]) ?? [])
            }
            throw .refused(operation: operation, errorNumber: code)
        }
        let folder = ownMountPoint + "/weft"
        try make(folder)
        return folder
    }

    // MS_NOSUID, MS_NODEV and MS_NOEXEC.
    private static let mountFlags: UInt = 2 | 4 | 8

    /// Makes a folder for its owner alone, if it isn't there.
    static func make(_ path: String) throws(TunnelMapError) {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            let code = errno
            if code == EPERM || code == EACCES, let missing = Capabilities.missing([.sysAdmin, .bpf]) {
                throw .missingCapabilities(operation: "make \(path)", missing)
            }
            throw .refused(operation: "make \(path)", errorNumber: code)
        }
    }

    private static func isBPF(_ path: String) -> Bool { unsafe weft_is_bpf_file_system(path) == 1 }

    /// Opens what is pinned at a path; nil if nothing is.
    static func open(_ path: String) throws(TunnelMapError) -> FileDescriptor? {
        let raw = unsafe bpf_obj_get(path)
        if raw >= 0 { return FileDescriptor(owning: raw) }
        let code = errno
        if code == ENOENT { return nil }
        if code == EPERM || code == EACCES {
            throw .missingCapabilities(
                operation: "open \(path)", Capabilities.missing([.bpf, .netAdmin]) ?? ["CAP_BPF"])
        }
        throw .refused(operation: "open \(path)", errorNumber: code)
    }

    /// Pins, in place of whatever is there.
    static func pin(_ descriptor: Int32, at path: String) throws(TunnelMapError) {
        _ = unsafe unlink(path)
        guard unsafe bpf_obj_pin(descriptor, path) == 0 else {
            throw .refused(operation: "pin \(path)", errorNumber: errno)
        }
    }

    /// The names in a folder; none if it isn't there.
    static func names(in path: String) -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            // SAFETY: the name ends with a NUL within the entry, which is valid until the next call.
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: unsafe bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a folder of pins, and the folders in it.
    static func removeFolder(_ path: String) {
        for name in names(in: path) {
            let inner = "\(path)/\(name)"
            if unsafe unlink(inner) != 0 { removeFolder(inner) }
        }
        _ = unsafe rmdir(path)
    }
}
