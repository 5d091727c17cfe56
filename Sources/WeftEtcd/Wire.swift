// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// The gateway's JSON. Bytes are base64 and 64-bit integers are strings.
enum Wire {
    struct Empty: Codable {}

    struct Header: Decodable {
        var cluster_id: String?
        var revision: String?

        var position: EtcdClient.Position? {
            guard let revision = revision.flatMap({ Int64($0) }), revision >= 0 else { return nil }
            return EtcdClient.Position(cluster: cluster_id.flatMap { UInt64($0) } ?? 0, revision: revision)
        }
    }

    /// What stands in the place of an answer. etcd calls the words `error`, newer ones `message`.
    struct Refusal: Decodable {
        var error: String?
        var message: String?
        var code: Int?

        /// gRPC's codes for what isn't there, and for a revision that is gone.
        private static let notFound = 5
        private static let outOfRange = 11

        static func error(_ status: Int, _ body: [UInt8]) -> EtcdError {
            let refusal = try? JSONDecoder().decode(Refusal.self, from: Data(body))
            let text = String(decoding: body.prefix(200), as: UTF8.self).split(whereSeparator: \.isNewline).joined(
                separator: " ")
            let words = refusal?.error ?? refusal?.message ?? (text.isEmpty ? "no reason given" : text)
            if refusal?.code == notFound, words.contains("lease") { return .leaseLost }
            if refusal?.code == outOfRange { return .outdated("has no such revision any more") }
            return .refused(status: status, words)
        }

        /// Whether the words are of a token that has run out: they are the same in all versions.
        static func isOfToken(_ words: String) -> Bool {
            words.contains("invalid auth token") || words.contains("revision of auth store is old")
        }
    }

    struct Authenticate: Encodable {
        let name: String
        let password: String
    }

    struct Token: Decodable { var token: String? }

    struct Range: Encodable {
        let key: String
        let range_end: String
        let limit: String
        let revision: String?
        var keys_only: Bool?

        init(_ start: [UInt8], _ end: [UInt8], limit: Int, revision: Int64?) {
            key = base64(start)
            range_end = base64(end)
            self.limit = "\(limit)"
            self.revision = revision.map { "\($0)" }
        }

        func keysOnly() -> Range {
            var copy = self
            copy.keys_only = true
            return copy
        }
    }

    struct RangeAnswer: Decodable {
        var header: Header?
        var kvs: [Pair]?
        var more: Bool?
    }

    struct Pair: Decodable {
        var key: String?
        var value: String?

        var keyBytes: [UInt8] { key.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) } ?? [] }

        var item: EtcdClient.Item {
            EtcdClient.Item(
                key: String(decoding: keyBytes, as: UTF8.self),
                value: value.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) } ?? [])
        }
    }

    struct Put: Encodable {
        let key: String
        let value: String
        let lease: String?

        init(key: String, value: [UInt8], lease: Int64?) {
            self.key = base64(Array(key.utf8))
            self.value = base64(value)
            self.lease = lease.map { "\($0)" }
        }
    }

    struct Delete: Encodable {
        let key: String

        init(key: String) { self.key = base64(Array(key.utf8)) }
    }

    struct Grant: Encodable { let TTL: Int }

    struct Lease: Codable {
        var ID: String?
        var TTL: String?
    }

    struct KeepAliveAnswer: Decodable { var result: Lease? }

    struct Watch: Encodable {
        struct Create: Encodable {
            let key: String
            let range_end: String
            let start_revision: String
            let progress_notify: Bool
        }

        let create_request: Create

        init(prefix: String, from revision: Int64) {
            create_request = Create(
                key: base64(Array(prefix.utf8)), range_end: base64(Wire.end(of: Array(prefix.utf8))),
                start_revision: "\(revision)", progress_notify: true)
        }
    }

    struct WatchAnswer: Decodable {
        struct Change: Decodable {
            var type: String?
            var kv: Pair?
        }

        struct Body: Decodable {
            var header: Header?
            var canceled: Bool?
            var cancel_reason: String?
            var compact_revision: String?
            var events: [Change]?
        }

        struct Failure: Decodable {
            var http_code: Int?
            var message: String?
        }

        var result: Body?
        var error: Failure?
    }

    /// The first key after all that begin with a prefix.
    static func end(of prefix: [UInt8]) -> [UInt8] {
        var end = prefix
        while let last = end.popLast() {
            if last < 0xFF { return end + [last + 1] }
        }
        return [0]
    }

    private static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
}
