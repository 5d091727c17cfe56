// SPDX-License-Identifier: Apache-2.0
import Weft

/// What an agent tells the others in etcd, under `agents/NAME`.
public struct AgentRecord: Hashable, Codable, Sendable {
    /// Its underlay addresses.
    public var remote: [String]
    /// Where it wants to be probed; nil: nowhere.
    public var probe: String?
    public var vni: UInt32?
    public var `protocol`: String?
    /// The prefixes that it serves, each with its weight.
    public var prefixes: [String: Int]?
    public var neverInTheClear: Bool?
    /// The newest version of ``ProbeMessage`` that it speaks; nil: the first.
    public var probeVersion: Int?

    /// What a file announces.
    public init(_ file: MapFile) {
        remote = file.local.map(\.description)
        probe = file.announcement?.probe?.description
        vni = file.announcement?.vni
        `protocol` = file.announcement?.protocol.rawValue
        prefixes = file.announcement.map { announcement in
            Dictionary(uniqueKeysWithValues: announcement.prefixes.map { ($0.key.description, $0.value) })
        }
        probeVersion = Int(ProbeMessage.Version.pairs.rawValue)
        neverInTheClear = file.announcement?.neverInTheClear
    }
}
