// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Glibc
import Synchronization
import Weft

/// The kernel's fast path: prefixes that an eBPF program sends to healthy nexthops.
///
/// Any thread may call any of this; changes wait for one another. A map that is pinned goes on forwarding when the process ends, and
/// whoever loads one of the same name takes it over.
public final class TunnelMap: Sendable {
    /// How a map is loaded.
    public struct Options: Sendable {
        /// The name that the map is pinned under, 1 to 32 letters, digits, `-` or `_`; nil pins nothing, and all is gone
        /// with the object.
        public var name: String?
        /// How many prefixes there is room for; a map that is taken over keeps its own.
        public var capacity = 16_384
        /// How many different nexthops there is room for.
        public var nexthopCapacity = 32_768
        /// How many peers there is room for, at most 65,536.
        public var peerCapacity = 16_384
        /// The classifier's hook; automatic takes a TCX link, and a clsact filter where the kernel has none.
        public var hook = Hook.automatic
        /// Maps are reused only where the layout is the same.
        var layout = Int(WEFT_LAYOUT)

        public init(name: String?) { self.name = name }
    }

    public enum Hook: Sendable {
        case automatic, tcx, clsact
    }

    /// Where the maps came from.
    public enum Origin: Hashable, Sendable {
        case new
        /// Another process filled them, and what it attached goes on with our program.
        case takenOver
        /// Those of another layout forward until we attach.
        case replacing(layout: Int)
    }

    struct State: ~Copyable {
        var books: Books
        var probed: Set<String> = []
        /// Who of the nexthops by Geneve without a device may send; nil: all.
        var senders: Set<GeneveSender>?
        /// What isn't pinned, by interface and direction.
        var attachments: [Attachment.Place: Attachment] = [:]
    }

    public let name: String?
    public let origin: Origin
    let tables: Tables
    let egress: SharedDescriptor
    let ingress: SharedDescriptor
    let pins: Pins?
    let hook: Hook
    let state: Mutex<State>

    private init(
        name: String?, origin: Origin, tables: Tables, egress: consuming FileDescriptor,
        ingress: consuming FileDescriptor, pins: Pins?, hook: Hook
    ) throws(TunnelMapError) {
        self.name = name
        self.origin = origin
        self.tables = tables
        self.egress = SharedDescriptor(egress)
        self.ingress = SharedDescriptor(ingress)
        self.pins = pins
        self.hook = hook
        var books = Books()
        if origin == .takenOver { books = try Books(reading: tables) }
        let probed = Set(books.peers.filter(\.value.isProbed).keys)
        state = Mutex(State(books: books, probed: probed))
    }

    /// Loads the classifier and its maps, or takes over those that are pinned under the name.
    ///
    /// Needs CAP_BPF and CAP_NET_ADMIN, and CAP_SYS_ADMIN where a BPF file system has to be mounted. The verifier reads the program
    /// within milliseconds.
    public static func load(_ options: Options) throws(TunnelMapError) -> TunnelMap {
        guard let name = options.name else {
            let object = try object(options)
            try object.load()
            return try make(options, .new, object, nil)
        }
        if let lack = lackOfPrivileges() { throw lack }
        let pins = try Pins(name: name, layout: options.layout)
        let object = try object(options)
        var origin = Origin.new
        if let pinned = try pins.tables() {
            for (name, descriptor) in pinned.descriptors { try object.reuse(name, descriptor: descriptor) }
            // Its own size: libbpf refuses to reuse a map of another.
            try Tables.setCapacity(pinned.capacity, of: object)
            origin = .takenOver
        } else if let other = pins.otherLayouts().max() {
            origin = .replacing(layout: other)
        }
        try object.load()
        let map = try make(options, origin, object, pins)
        try pins.pin(map.tables)
        try pins.pin(program: map.egress.raw, as: "egress")
        try pins.pin(program: map.ingress.raw, as: "ingress")
        return map
    }

    /// Why ``load(_:)`` would be refused for want of privileges; nil if it would not.
    public static func lackOfPrivileges() -> TunnelMapError? {
        Capabilities.missing([.bpf, .netAdmin]).map { .missingCapabilities(operation: "load the classifier", $0) }
    }

    private static func object(_ options: Options) throws(TunnelMapError) -> BPFObjectFile {
        let object = try BPFObjectFile(BPFObject.tunnelmap, name: "weft")
        try Tables.setCapacity(
            Tables.Capacity(
                entries: max(1, options.capacity), nexthops: max(1, options.nexthopCapacity),
                peers: min(max(1, options.peerCapacity), 65_536)), of: object)
        return object
    }

    private static func make(
        _ options: Options, _ origin: Origin, _ object: borrowing BPFObjectFile, _ pins: Pins?
    ) throws(TunnelMapError) -> TunnelMap {
        let tables = try Tables { name throws(TunnelMapError) in try object.map(name) }
        return try TunnelMap(
            name: options.name, origin: origin, tables: tables, egress: object.program("weft_egress"),
            ingress: object.program("weft_ingress"), pins: pins, hook: options.hook)
    }

    /// Opens a map that is pinned, to look at it or to change it, without loading anything.
    /// - Throws: `TunnelMapError.notLoaded`.
    public static func open(name: String) throws(TunnelMapError) -> TunnelMap {
        // What an agent is writing at this moment can look damaged: it is looked at again before that is believed.
        for _ in 0..<5 {
            do {
                return try opened(name: name)
            } catch {
                guard case .damaged = error else { throw error }
                usleep(20_000)
            }
        }
        return try opened(name: name)
    }

    private static func opened(name: String) throws(TunnelMapError) -> TunnelMap {
        guard let pins = try Pins.existing(name: name, layout: Int(WEFT_LAYOUT)), let tables = try pins.tables(),
            let egress = try pins.program("egress"), let ingress = try pins.program("ingress")
        else { throw .notLoaded(name: name) }
        return try TunnelMap(
            name: name, origin: .takenOver, tables: tables, egress: egress, ingress: ingress, pins: pins,
            hook: .automatic)
    }

    /// The names of the maps that are pinned, of any layout.
    public static func names() -> [String] { Pins.names() }

    /// How many prefixes there is room for.
    public var capacity: Int { tables.capacity.entries }

    /// Adds an entry or replaces the one with its prefix.
    @discardableResult
    public func update(_ entry: TunnelMapEntry) throws(ReconcileError) -> TunnelMapChanges {
        try change { step, books throws(TunnelMapError) in try step.update(entry, &books) }
    }

    /// Takes an entry away.
    /// - Throws: `TunnelMapError.noEntry` as the cause, if there is none.
    @discardableResult
    public func delete(_ prefix: Prefix) throws(ReconcileError) -> TunnelMapChanges {
        try change { step, books throws(TunnelMapError) in try step.delete(prefix, &books) }
    }

    /// Makes the entries exactly those that are desired, and touches nothing else.
    ///
    /// Health stays as it is; new peers are healthy, unless they are probed: then the probes will say.
    /// - Parameters:
    ///   - probed: the names of the peers whose health is probed; nil leaves it as it was.
    ///   - senders: which of the nexthops by Geneve without a device may send it to us; nil: all.
    /// - Throws: before anything is written when an entry is wrong, an interface is missing or the map is too small.
    @discardableResult
    public func reconcile(
        _ desired: [TunnelMapEntry], probed: Set<String>? = nil, senders: Set<GeneveSender>? = nil
    ) throws(ReconcileError) -> TunnelMapChanges {
        state.withLock { $0.senders = senders }
        return try change(probed: probed) { step, books throws(TunnelMapError) in try step.reconcile(desired, &books) }
    }

    private func change(
        probed: Set<String>? = nil, _ body: (inout Reconciliation, inout Books) throws(TunnelMapError) -> Void
    ) throws(ReconcileError) -> TunnelMapChanges {
        try state.withLock { state throws(ReconcileError) in
            if let probed { state.probed = probed }
            var step = Reconciliation(tables: tables, probed: state.probed, senders: state.senders)
            do throws(TunnelMapError) {
                let lock = pins?.lock()
                defer { lock?.close() }
                try body(&step, &state.books)
                return step.changes
            } catch {
                throw ReconcileError(cause: error, applied: step.changes)
            }
        }
    }
}
