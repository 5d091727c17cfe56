// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Reads the stream of a watch: one JSON text a line, cut into pieces as the network likes.
struct WatchStream {
    /// What one revision, or several that came together, changed.
    struct Batch: Hashable {
        let events: [EtcdClient.Event]
        let revision: Int64
    }

    /// One message can't be longer, in bytes.
    private static let limit = 64 << 20
    private var rest = Data()

    /// Takes a piece and gives what is whole by now.
    mutating func take(_ piece: Data) throws(EtcdError) -> [Batch] {
        rest.append(piece)
        var batches: [Batch] = []
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = Data(rest[rest.startIndex..<end])
            rest = Data(rest[(end + 1)...])
            if !line.isEmpty, let batch = try Self.batch(line) { batches.append(batch) }
        }
        guard rest.count <= Self.limit else { throw .malformed("a message of more than \(Self.limit) bytes") }
        return batches
    }

    private static func batch(_ line: Data) throws(EtcdError) -> Batch? {
        guard let answer = try? JSONDecoder().decode(Wire.WatchAnswer.self, from: line), let body = answer.result else {
            throw .malformed("a message of the watch")
        }
        if body.canceled == true {
            if let revision = body.compact_revision.flatMap({ Int64($0) }), revision > 0 { throw .compacted }
            throw .refused(status: 200, "the watch was cancelled")
        }
        guard let events = body.events, !events.isEmpty, let revision = body.header?.number else { return nil }
        return Batch(
            events: try events.map { event throws(EtcdError) in
                guard let item = try event.kv?.item() else { throw .malformed("an event without a key") }
                return event.type == "DELETE" ? .delete(key: item.key) : .put(item)
            }, revision: revision)
    }
}
