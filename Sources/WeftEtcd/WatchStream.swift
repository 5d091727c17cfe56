// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// Reads the stream of a watch: one JSON text a line, cut into pieces as the network likes.
struct WatchStream {
    /// What one revision, or several that came together, changed.
    struct Batch: Hashable {
        let events: [EtcdClient.Event]
        let revision: Int64
    }

    /// One message can't be longer, in bytes.
    private static let limit = 16 << 20
    /// What the last piece left of an unfinished line.
    private var rest: [UInt8] = []
    private let position: EtcdClient.Position

    /// - Parameter position: what the watch goes on from. An etcd that is another, or hasn't come as far, would never tell what
    ///   is different.
    init(after position: EtcdClient.Position) { self.position = position }

    /// Takes a piece and gives what is whole by now.
    mutating func take(_ piece: [UInt8]) throws(EtcdError) -> [Batch] {
        var batches: [Batch] = []
        var start = piece.startIndex
        while let end = piece[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = rest + piece[start..<end]
            rest = []
            start = end + 1
            if !line.isEmpty, let batch = try batch(line) { batches.append(batch) }
        }
        rest += piece[start...]
        guard rest.count <= Self.limit else { throw .tooLong("a message of the watch") }
        return batches
    }

    private func batch(_ line: [UInt8]) throws(EtcdError) -> Batch? {
        guard let answer = try? JSONDecoder().decode(Wire.WatchAnswer.self, from: Data(line)) else {
            throw .malformed("a message of the watch")
        }
        if let error = answer.error { throw .refused(status: error.http_code ?? 200, error.message ?? "the watch") }
        guard let body = answer.result else { throw .malformed("a message of the watch") }
        if let now = body.header?.position {
            guard now.cluster == position.cluster else { throw .outdated("is another cluster now") }
            guard now.revision >= position.revision else {
                throw .outdated("has gone back from revision \(position.revision) to \(now.revision)")
            }
        }
        if body.canceled == true {
            if let revision = body.compact_revision.flatMap({ Int64($0) }), revision > 0 {
                throw .outdated("has compacted the revisions that were watched")
            }
            throw .refused(status: 200, body.cancel_reason ?? "the watch was cancelled")
        }
        guard let events = body.events, !events.isEmpty, let revision = body.header?.position?.revision else {
            return nil
        }
        return Batch(
            events: try events.map { event throws(EtcdError) in
                guard let pair = event.kv else { throw .malformed("an event without a key") }
                return event.type == "DELETE" ? .delete(key: pair.item.key) : .put(pair.item)
            }, revision: revision)
    }
}
