// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// What the JSON says, before any of it is believed.
enum FileText {
    struct File: Decodable {
        var name: String?
        var agent: String?
        var interface: String?
        var decapsulate: [String]?
        var local: [String]?
        var devices: [String: String]?
        var capacity: Int?
        var key: String?
        var health: Health?
        var peers: [String: Peer]?
        var prefixes: [Entry]?
        var announce: Announce?
        var fleet: Rights?
        var verifySources: Bool?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case name, agent, interface, decapsulate, local, devices, capacity, key, health, peers, prefixes, announce
            case fleet, verifySources
        }

        init(from decoder: any Decoder) throws {
            try FileText.refuseUnknown(decoder, CodingKeys.self)
            let values = try decoder.container(keyedBy: CodingKeys.self)
            name = try values.decodeIfPresent(String.self, forKey: .name)
            agent = try values.decodeIfPresent(String.self, forKey: .agent)
            interface = try values.decodeIfPresent(String.self, forKey: .interface)
            decapsulate = try values.decodeIfPresent([String].self, forKey: .decapsulate)
            local = try values.decodeIfPresent([String].self, forKey: .local)
            devices = try values.decodeIfPresent([String: String].self, forKey: .devices)
            capacity = try values.decodeIfPresent(Int.self, forKey: .capacity)
            key = try values.decodeIfPresent(String.self, forKey: .key)
            health = try values.decodeIfPresent(Health.self, forKey: .health)
            peers = try values.decodeIfPresent([String: Peer].self, forKey: .peers)
            prefixes = try values.decodeIfPresent([Entry].self, forKey: .prefixes)
            announce = try values.decodeIfPresent(Announce.self, forKey: .announce)
            fleet = try values.decodeIfPresent(Rights.self, forKey: .fleet)
            verifySources = try values.decodeIfPresent(Bool.self, forKey: .verifySources)
        }
    }

    struct Rights: Decodable {
        var protocols: [String]?
        var interfaces: [String]?
        var senders: Bool?

        enum CodingKeys: String, CodingKey, CaseIterable { case protocols, interfaces, senders }

        init(from decoder: any Decoder) throws {
            try FileText.refuseUnknown(decoder, CodingKeys.self)
            let values = try decoder.container(keyedBy: CodingKeys.self)
            protocols = try values.decodeIfPresent([String].self, forKey: .protocols)
            interfaces = try values.decodeIfPresent([String].self, forKey: .interfaces)
            senders = try values.decodeIfPresent(Bool.self, forKey: .senders)
        }
    }

    struct Health: Decodable {
        var intervalMilliseconds: Int?
        var threshold: Int?
        var recovery: Int?

        enum CodingKeys: String, CodingKey, CaseIterable { case intervalMilliseconds, threshold, recovery }

        init(from decoder: any Decoder) throws {
            try FileText.refuseUnknown(decoder, CodingKeys.self)
            let values = try decoder.container(keyedBy: CodingKeys.self)
            intervalMilliseconds = try values.decodeIfPresent(Int.self, forKey: .intervalMilliseconds)
            threshold = try values.decodeIfPresent(Int.self, forKey: .threshold)
            recovery = try values.decodeIfPresent(Int.self, forKey: .recovery)
        }
    }

    struct Peer: Decodable {
        var probe: String?

        enum CodingKeys: String, CodingKey, CaseIterable { case probe }

        init(from decoder: any Decoder) throws {
            try FileText.refuseUnknown(decoder, CodingKeys.self)
            probe = try decoder.container(keyedBy: CodingKeys.self).decodeIfPresent(String.self, forKey: .probe)
        }
    }

    struct Entry: Decodable {
        var prefix: String?
        var nexthops: [Hop]
        var neverInTheClear: Bool?

        enum CodingKeys: String, CodingKey, CaseIterable { case prefix, nexthops, neverInTheClear }

        init(nexthops: [Hop], neverInTheClear: Bool) {
            self.nexthops = nexthops
            self.neverInTheClear = neverInTheClear
        }

        init(from decoder: any Decoder) throws {
            try FileText.refuseUnknown(decoder, CodingKeys.self)
            let values = try decoder.container(keyedBy: CodingKeys.self)
            prefix = try values.decodeIfPresent(String.self, forKey: .prefix)
            nexthops = try values.decode([Hop].self, forKey: .nexthops)
            neverInTheClear = try values.decodeIfPresent(Bool.self, forKey: .neverInTheClear)
        }
    }

    struct Hop: Decodable {
        var peer: String?
        var remote: String?
        var local: String?
        var vni: UInt32?
        var interface: String?
        var `protocol`: String?
        var weight: Int?
        var setKey: Bool?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case peer, remote, local, vni, interface, `protocol`, weight, setKey
        }

        init(peer: String, weight: Int) {
            self.peer = peer
            self.weight = weight
        }

        init(from decoder: any Decoder) throws {
            try FileText.refuseUnknown(decoder, CodingKeys.self)
            let values = try decoder.container(keyedBy: CodingKeys.self)
            peer = try values.decodeIfPresent(String.self, forKey: .peer)
            remote = try values.decodeIfPresent(String.self, forKey: .remote)
            local = try values.decodeIfPresent(String.self, forKey: .local)
            vni = try values.decodeIfPresent(UInt32.self, forKey: .vni)
            interface = try values.decodeIfPresent(String.self, forKey: .interface)
            `protocol` = try values.decodeIfPresent(String.self, forKey: .protocol)
            weight = try values.decodeIfPresent(Int.self, forKey: .weight)
            setKey = try values.decodeIfPresent(Bool.self, forKey: .setKey)
        }
    }

    struct Announce: Decodable {
        var prefixes: [String]
        var weight: Int?
        var vni: UInt32?
        var `protocol`: String?
        var probe: String?
        var neverInTheClear: Bool?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case prefixes, weight, vni, `protocol`, probe, neverInTheClear
        }

        init(from decoder: any Decoder) throws {
            try FileText.refuseUnknown(decoder, CodingKeys.self)
            let values = try decoder.container(keyedBy: CodingKeys.self)
            prefixes = try values.decode([String].self, forKey: .prefixes)
            weight = try values.decodeIfPresent(Int.self, forKey: .weight)
            vni = try values.decodeIfPresent(UInt32.self, forKey: .vni)
            `protocol` = try values.decodeIfPresent(String.self, forKey: .protocol)
            probe = try values.decodeIfPresent(String.self, forKey: .probe)
            neverInTheClear = try values.decodeIfPresent(Bool.self, forKey: .neverInTheClear)
        }
    }

    private struct AnyKey: CodingKey {
        var stringValue: String
        var intValue: Int?
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { return nil }
    }

    static func refuseUnknown<Keys: CodingKey & CaseIterable>(
        _ decoder: any Decoder, _: Keys.Type
    ) throws {
        let known = Set(Keys.allCases.map(\.stringValue))
        let found = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
        guard let unknown = found.sorted().first(where: { !known.contains($0) }) else { return }
        throw DecodingError.dataCorrupted(
            DecodingError.Context(
                codingPath: decoder.codingPath,
                debugDescription:
                    "unknown key \"\(unknown.prefix(40))\": expected one of \(known.sorted().joined(separator: ", "))"))
    }

    /// Decodes, and puts what is wrong into words for a person.
    static func decode<Value: Decodable>(_: Value.Type, from data: Data, place: String) throws(MapFileError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: data)
        } catch let error as DecodingError {
            throw MapFileError(place, words(for: error))
        } catch {
            throw MapFileError(place, "cannot be read as JSON")
        }
    }

    private static func words(for error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
            return path.isEmpty ? "" : String(path.drop { $0 == "." }) + ": "
        }
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context))\(key.stringValue) is missing"
        case .typeMismatch(let type, let context): return "\(path(context))expected \(type)"
        case .valueNotFound(let type, let context): return "\(path(context))expected \(type), found null"
        case .dataCorrupted(let context): return "\(path(context))\(context.debugDescription)"
        @unknown default: return "cannot be read as JSON"
        }
    }
}
