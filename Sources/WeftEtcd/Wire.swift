// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The gateway's JSON. Bytes are base64 and 64-bit integers are strings.
enum Wire {
    /// gRPC's code for what isn't there.
    static let notFound = 5

    struct Empty: Codable {}

    struct Header: Decodable {
        var revision: String?
        var number: Int64? { revision.flatMap { Int64($0) } }
    }

    struct Refusal: Decodable {
        var error: String?
        var code: Int?
    }

    struct Range: Encodable {
        let key: String
        let range_end: String

        init(prefix: String) {
            key = base64(Array(prefix.utf8))
            range_end = base64(Wire.end(of: Array(prefix.utf8)))
        }
    }

    struct RangeAnswer: Decodable {
        var header: Header
        var kvs: [Pair]?
    }

    struct Pair: Decodable {
        var key: String?
        var value: String?

        func item() throws(EtcdError) -> EtcdClient.Item {
            guard let name = key.flatMap({ Data(base64Encoded: $0) }).flatMap({ String(validating: $0, as: UTF8.self) })
            else { throw .malformed("a key that is no text") }
            return EtcdClient.Item(
                key: name, value: value.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) } ?? [])
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
            var compact_revision: String?
            var events: [Change]?
        }

        var result: Body?
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
