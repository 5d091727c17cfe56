// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import WeftEtcd

struct WatchStreamTests {
    private let position = EtcdClient.Position(cluster: 0, revision: 6)
    private let put = #"{"result":{"header":{"revision":"7"},"events":[{"kv":{"key":"YQ==","value":"Yg=="}}]}}"# + "\n"
    private let delete =
        #"{"result":{"header":{"revision":"8"},"events":[{"type":"DELETE","kv":{"key":"YQ=="}}]}}"# + "\n"
    private let created = #"{"result":{"header":{"revision":"6"},"created":true}}"# + "\n\n"

    @Test(arguments: [1, 7, 100, 10_000])
    func readsWhateverThePieces(_ size: Int) throws {
        let bytes = Array((created + put + delete).utf8)
        var stream = WatchStream(after: position)
        var found: [WatchStream.Batch] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            found += try stream.take(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        #expect(
            found == [
                WatchStream.Batch(events: [.put(EtcdClient.Item(key: "a", value: [0x62]))], revision: 7),
                WatchStream.Batch(events: [.delete(key: "a")], revision: 8),
            ])
    }

    @Test(arguments: [
        (
            #"{"result":{"canceled":true,"compact_revision":"5"}}"#,
            EtcdError.outdated("has compacted the revisions that were watched")
        ),
        (#"{"result":{"header":{"revision":"5"}}}"#, .outdated("has gone back from revision 6 to 5")),
        (
            #"{"result":{"header":{"cluster_id":"9","revision":"7"},"created":true}}"#,
            .outdated("is another cluster now")
        ),
        (
            #"{"error":{"grpc_code":7,"http_code":403,"message":"permission denied"}}"#,
            .refused(status: 403, "permission denied")
        ),
        (#"{"result":{"canceled":true,"cancel_reason":"no"}}"#, .refused(status: 200, "no")),
        (#"{"result":{"canceled":true}}"#, .refused(status: 200, "the watch was cancelled")),
        ("{}", .malformed("a message of the watch")), ("[", .malformed("a message of the watch")),
        (#"{"result":{"header":{"revision":"7"},"events":[{}]}}"#, .malformed("an event without a key")),
    ])
    func saysWhyItEnds(_ text: String, _ wanted: EtcdError) {
        var stream = WatchStream(after: position)
        #expect(throws: wanted) { try stream.take(Array((text + "\n").utf8)) }
    }

    @Test func prefixesEnd() {
        #expect(Wire.end(of: [1, 2]) == [1, 3] && Wire.end(of: [1, 0xFF]) == [2] && Wire.end(of: [0xFF]) == [0])
    }

    /// Whoever wrote such a key must not keep the others from being read.
    @Test func aKeyThatIsNoTextIsAKeyOfNobody() throws {
        var stream = WatchStream(after: position)
        let batches = try stream.take(
            Array((#"{"result":{"header":{"revision":"7"},"events":[{"kv":{"key":"/w=="}}]}}"# + "\n").utf8))
        #expect(batches.map(\.events) == [[.put(EtcdClient.Item(key: "\u{FFFD}", value: []))]])
    }
}

struct EtcdAccessTests {
    @Test(arguments: [
        "", "x", "ftp://host", "http://", "https://host/path", "host:2379", "https://user@host", "https://host?x",
        "https://host#x", "file:///etc/passwd", "https://host:99999",
    ])
    func refusesOtherURLs(_ text: String) {
        #expect(throws: EtcdError.badURL(text)) { try EtcdAccess(text) }
    }

    @Test(arguments: [
        "http://192.0.2.1:2379", "http://etcd.example:2379", "http://127.0.0.1.example", "http://[fd00::1]",
    ])
    func plainHTTPStaysOnThisHost(_ text: String) throws {
        #expect(throws: EtcdError.plainHTTP(text)) { try EtcdAccess(text) }
        #expect(try EtcdAccess(text, allowsPlainHTTP: true).url == text)
    }

    @Test(arguments: [
        "http://127.0.0.1:2379/", "http://127.9.9.9", "http://[::1]:2379", "http://localhost:2379", "https://etcd",
    ])
    func othersAreTaken(_ text: String) throws {
        #expect(try text.hasPrefix(EtcdAccess(text).url))
    }

    @Test(arguments: [
        (404, #"{"error":"etcdserver: requested lease not found","code":5}"#, EtcdError.leaseLost),
        (404, #"{"error":"etcdserver: user not found","code":5}"#, .refused(status: 404, "etcdserver: user not found")),
        (400, #"{"code":11,"message":"x"}"#, .outdated("has no such revision any more")),
        (403, #"{"code":7,"message":"permission denied"}"#, .refused(status: 403, "permission denied")),
        (500, "not\nJSON\n", .refused(status: 500, "not JSON")), (500, "", .refused(status: 500, "no reason given")),
    ])
    func refusals(_ status: Int, _ text: String, _ wanted: EtcdError) {
        #expect(Wire.Refusal.error(status, Array(text.utf8)) == wanted)
    }
}
