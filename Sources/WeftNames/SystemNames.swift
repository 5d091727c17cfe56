// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// What this host's files say of names, read again when they change. One thread uses it.
public final class SystemNames {
    /// Where the files are.
    public struct Places: Hashable, Sendable {
        public var hosts = "/etc/hosts"
        public var resolvers = "/etc/resolv.conf"
        /// The resolvers that systemd's asks, which listens on this host.
        public var upstreams = "/run/systemd/resolve/resolv.conf"

        public init() {}
    }

    private let places: Places
    private let mark: UInt32
    private var files: [String: (stamp: Stamp?, bytes: [UInt8])] = [:]
    private var names: Set<String> = []
    private var named: [IPAddress] = []
    private var nextLook = Instant(nanoseconds: 0)

    /// Who may be asked, as the files or the caller said.
    public private(set) var servers: [ResolverFile.Server] = []
    public private(set) var settings = ResolverSettings()
    /// What the hosts file says of the names, in the form of ``HostName/normal(_:)``.
    public private(set) var listed: [String: [IPAddress]] = [:]

    /// Files have no events for who may have lost the right to watch them, and a look costs three calls.
    private static let interval = Duration.seconds(1)
    /// Public addresses, to see whether there is any way to such; nothing is sent there.
    private static let somewhere = [IPAddress(v4: 0xC000_0009), IPAddress(v6: 0x2000_0000_0000_0000, 1)]

    /// What tells that a file is another one, or says something else.
    private struct Stamp: Equatable {
        let device: UInt
        let inode: UInt
        let size: Int
        let modified: timespec
        let changed: timespec

        static func == (left: Stamp, right: Stamp) -> Bool {
            left.device == right.device && left.inode == right.inode && left.size == right.size
                && left.modified.tv_sec == right.modified.tv_sec && left.modified.tv_nsec == right.modified.tv_nsec
                && left.changed.tv_sec == right.changed.tv_sec && left.changed.tv_nsec == right.changed.tv_nsec
        }

        /// Whether it may change again without another time: the kernel's clock for files ticks every few milliseconds.
        func isFresh() -> Bool {
            var now = timespec()
            _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
            return abs(now.tv_sec - max(modified.tv_sec, changed.tv_sec)) <= 2
        }
    }

    /// - Parameter mark: of what is sent to resolvers and peers, by which it is routed.
    public init(mark: UInt32 = 0, places: Places = Places()) {
        self.mark = mark
        self.places = places
    }

    /// Sets which names are of interest, and which resolvers are asked whatever the files say; none for the files' own.
    public func set(_ hosts: some Sequence<String>, resolvers: [IPAddress]) {
        names = Set(hosts.map { HostName.normal($0) })
        named = resolvers
        nextLook = Instant(nanoseconds: 0)
        files.removeAll()
    }

    /// Whether the files say something else than at the last look, which is due once a second.
    public func changed(at now: Instant) -> Bool {
        guard now >= nextLook else { return false }
        nextLook = now.advanced(by: Self.interval)
        let before = (servers, settings, listed)
        if reads(places.hosts, longest: HostsFile.longest) {
            listed = HostsFile.addresses(of: names, in: files[places.hosts]?.bytes ?? [])
            // It may be long, and is read again when it changes.
            files[places.hosts]?.bytes = []
        }
        _ = reads(places.resolvers, longest: ResolverFile.longest)
        _ = reads(places.upstreams, longest: ResolverFile.longest)
        choose()
        return before != (servers, settings, listed)
    }

    private func choose() {
        let file = ResolverFile(files[places.resolvers]?.bytes ?? [])
        var isLastResort = false
        if !named.isEmpty {
            servers = named.map { .init($0) }
        } else {
            let others = file.servers.filter { !$0.address.isLoopback }
            let upstreams = ResolverFile(files[places.upstreams]?.bytes ?? []).servers.filter { !$0.address.isLoopback }
            // The host's own resolver asks others without our mark, so by the tunnel that may be waiting for the answer.
            servers = !others.isEmpty ? others : !upstreams.isEmpty ? upstreams : file.servers
            isLastResort = others.isEmpty && upstreams.isEmpty && !file.servers.isEmpty
        }
        settings = ResolverSettings(
            resolvers: servers.map(\.address), search: file.search, dots: file.dots, isLastResort: isLastResort,
            ways: Set(
                Self.somewhere.filter { DNSSockets.connected(to: Endpoint($0, port: 9), mark: mark) != nil }
                    .map(\.family)))
    }

    /// Reads a file if it may have changed; whether it was read, or is gone.
    private func reads(_ path: String, longest: Int) -> Bool {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            defer { files[path] = (nil, []) }
            return files[path].map { $0.stamp != nil } ?? true
        }
        let stamp = Stamp(
            device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size),
            modified: status.st_mtim, changed: status.st_ctim)
        if let known = files[path], known.stamp == stamp, !stamp.isFresh() { return false }
        files[path] = (stamp, Self.contents(path, longest: longest))
        return true
    }

    private static func contents(_ path: String, longest: Int) -> [UInt8] {
        let raw = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard raw >= 0 else { return [] }
        let file = FileDescriptor(owning: raw)
        var bytes: [UInt8] = []
        while bytes.count < longest {
            var room = min(1 << 16, longest - bytes.count)
            let part = unsafe [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                // Safe: the kernel writes at most as many bytes as there is room for.
                room = unsafe read(file.raw, buffer.baseAddress, room)
                count = max(room, 0)
            }
            guard !part.isEmpty else { break }
            bytes += part
        }
        return bytes
    }
}
