// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Weft
import WeftFiles

/// The file of `weft tunnel-map run`: JSON (RFC 8259).
///
/// All that is optional has a default; a key that nobody knows is an error, since it is likely a misspelt one.
public struct MapFile: Hashable, Sendable {
    /// The map's name.
    public var name: String
    /// Who we are to our peers.
    public var agent: String
    /// The interface that the overlay's routes point to.
    public var interface: String
    /// Underlay interfaces where Geneve without a device comes in.
    public var decapsulate: [String]
    /// Our underlay addresses: at most one of each family.
    public var local: [IPAddress]
    /// The interface for nexthops that don't name one, by protocol.
    public var devices: [NexthopProtocol: String]
    /// How many prefixes there is room for.
    public var capacity: Int
    /// The fleet key's file; nil where nobody is probed.
    public var key: String?
    public var probing: ProbeTiming
    /// The address that each probed peer is probed at.
    public var probes: [String: IPAddress]
    public var entries: [TunnelMapEntry]
    /// What we tell the fleet through etcd.
    public var announcement: Announcement?
    public var fleet: FleetRights
    /// Whether what is decapsulated must come from an inner source that this sender is a nexthop of.
    public var verifiesSources: Bool

    /// An agent's own entry in etcd.
    public struct Announcement: Hashable, Sendable {
        /// The prefixes that we serve, each with our weight.
        public var prefixes: [Prefix: Int]
        public var vni: UInt32
        public var `protocol`: NexthopProtocol
        /// Where peers probe us; nil asks them not to.
        public var probe: IPAddress?
        public var neverInTheClear: Bool
    }

    /// The largest file that is read, in bytes.
    public static let maximumSize = 256 << 20

    /// Reads a file, which nobody but root and the caller may be able to change or replace.
    public static func load(path: String) throws(MapFileError) -> MapFile {
        let data: Data
        do throws(FileRefusal) {
            data = try contents(of: path)
        } catch {
            throw MapFileError(path, error)
        }
        return try parse(data, place: path)
    }

    private static func contents(of path: String) throws(FileRefusal) -> Data {
        let trust = FileTrust.caller
        let file = try trust.open(path)
        let size = try trust.judge(file.raw, called: path).size
        guard size <= maximumSize else { throw .tooLarge(path: path, limit: maximumSize) }
        var data = Data(count: size)
        var bytes = data.mutableSpan
        try FileContents.read(file.raw, into: &bytes, called: path)
        return data
    }

    /// Reads a file's text.
    public static func parse(_ data: Data, place: String) throws(MapFileError) -> MapFile {
        try FileText.decode(FileText.File.self, from: data, place: place).checked(place)
    }

    /// Reads an entry's value in etcd, whose key names the prefix. What it leaves out is filled in later.
    static func entry(_ data: Data, place: String) throws(MapFileError) -> FileText.Entry {
        try FileText.decode(FileText.Entry.self, from: data, place: place)
    }
}
