// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Where a tunnel map's parts are pinned: `weft/NAME/vLAYOUT/` has maps and programs, `weft/NAME/links/` what is attached.
///
/// Links stand outside of the layout's folder: they are what a successor with another layout goes on with.
struct Pins: Sendable {
    let folder: String
    let layout: Int

    private var maps: String { "\(folder)/v\(layout)" }
    private var links: String { "\(folder)/links" }

    /// Makes the folders if need be, and mounts a BPF file system where there is none.
    init(name: String, layout: Int) throws(TunnelMapError) {
        guard Self.isValid(name) else { throw .badName(name) }
        folder = try BPFFileSystem.folder() + "/" + name
        self.layout = layout
        try BPFFileSystem.make(folder)
        try BPFFileSystem.make(links)
    }

    private init(existing folder: String, layout: Int) {
        self.folder = folder
        self.layout = layout
    }

    /// The pins of a name, if there are any of this layout.
    static func existing(name: String, layout: Int) throws(TunnelMapError) -> Pins? {
        guard isValid(name) else { throw .badName(name) }
        guard let parent = BPFFileSystem.existingFolder() else { return nil }
        let pins = Pins(existing: "\(parent)/\(name)", layout: layout)
        guard unsafe access(pins.folder, R_OK | X_OK) == 0 else {
            if errno == EACCES, let missing = Capabilities.missing([.bpf]) {
                throw .missingCapabilities(operation: "open \(pins.folder)", missing)
            }
            return nil
        }
        return pins
    }

    static func names() -> [String] { BPFFileSystem.existingFolder().map { BPFFileSystem.names(in: $0) } ?? [] }

    /// A BPF file system refuses dots.
    private static func isValid(_ name: String) -> Bool {
        name.utf8.count <= 32 && PeerName.isValid(name) && !name.contains(".")
    }

    /// The maps that are pinned; nil if they are not all there, as when whoever made them was killed at it.
    func tables() throws(TunnelMapError) -> Tables? {
        guard Set(Tables.names).isSubset(of: BPFFileSystem.names(in: maps)) else { return nil }
        return try Tables { name throws(TunnelMapError) in
            guard let descriptor = try BPFFileSystem.open("\(maps)/\(name)") else {
                throw .damaged("map \(name) is missing")
            }
            return descriptor
        }
    }

    /// The maps of an earlier layout, of which this one's are a superset; those that it lacks are the new one's, which are empty.
    func tables(ofLayout layout: Int, beside new: Tables) throws(TunnelMapError) -> Tables? {
        let folder = "\(folder)/v\(layout)"
        let present = BPFFileSystem.names(in: folder)
        guard Set(Tables.names).subtracting(["weft_locals"]).isSubset(of: present) else { return nil }
        return try Tables { name throws(TunnelMapError) in
            if let descriptor = try BPFFileSystem.open("\(folder)/\(name)") { return descriptor }
            guard let own = new.descriptors.first(where: { $0.name == name })?.descriptor else {
                throw .damaged("map \(name) is missing")
            }
            return try BPFObjectFile.duplicate(own, what: "map \(name)")
        }
    }

    func pin(_ tables: Tables) throws(TunnelMapError) {
        try BPFFileSystem.make(maps)
        for (name, descriptor) in tables.descriptors { try BPFFileSystem.pin(descriptor, at: "\(maps)/\(name)") }
    }

    func pin(program descriptor: Int32, as name: String) throws(TunnelMapError) {
        try BPFFileSystem.pin(descriptor, at: "\(maps)/\(name)")
    }

    func program(_ name: String) throws(TunnelMapError) -> FileDescriptor? {
        try BPFFileSystem.open("\(maps)/\(name)")
    }

    /// The other layouts that have pins.
    func otherLayouts() -> [Int] {
        BPFFileSystem.names(in: folder).compactMap { name in
            guard name.hasPrefix("v"), let number = Int(name.dropFirst()), number != layout else { return nil }
            return number
        }
    }

    func removeOtherLayouts() {
        for other in otherLayouts() { BPFFileSystem.removeFolder("\(folder)/v\(other)") }
    }

    func linkPath(_ name: String) -> String { "\(links)/\(name)" }

    func linkNames() -> [String] { BPFFileSystem.names(in: links) }

    func removeAll() { BPFFileSystem.removeFolder(folder) }

    /// Keeps other processes from changing the maps at the same time, until it is closed.
    func lock() -> SharedDescriptor? {
        let raw = unsafe Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard raw >= 0 else { return nil }
        _ = flock(raw, LOCK_EX)
        return SharedDescriptor(FileDescriptor(owning: raw))
    }
}
