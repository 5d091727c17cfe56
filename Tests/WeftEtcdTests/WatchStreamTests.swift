// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftEtcd

struct WatchStreamTests {
    private let put = #"{"result":{"header":{"revision":"7"},"events":[{"kv":{"key":"YQ==","value":"Yg=="}}]}}"# + "\n"
    private let delete =
        #"{"result":{"header":{"revision":"8"},"events":[{"type":"DELETE","kv":{"key":"YQ=="}}]}}"# + "\n"
    private let created = #"{"result":{"header":{"revision":"6"},"created":true}}"# + "\n\n"

    @Test(arguments: [1, 7, 100, 10_000])
    func readsWhateverThePieces(_ size: Int) throws {
        let bytes = Array((created + put + delete).utf8)
        var stream = WatchStream()
        var found: [WatchStream.Batch] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            found += try stream.take(Data(bytes[start..<min(start + size, bytes.count)]))
        }
        #expect(
            found == [
                WatchStream.Batch(events: [.put(EtcdClient.Item(key: "a", value: [0x62]))], revision: 7),
                WatchStream.Batch(events: [.delete(key: "a")], revision: 8),
            ])
    }

    @Test(arguments: [
        (#"{"result":{"canceled":true,"compact_revision":"5"}}"#, EtcdError.compacted),
        (#"{"result":{"canceled":true}}"#, .refused(status: 200, "the watch was cancelled")),
        ("{}", .malformed("a message of the watch")), ("[", .malformed("a message of the watch")),
        (#"{"result":{"header":{"revision":"7"},"events":[{}]}}"#, .malformed("an event without a key")),
        (
            #"{"result":{"header":{"revision":"7"},"events":[{"kv":{"key":"/w=="}}]}}"#,
            .malformed("a key that is no text")
        ),
    ])
    func saysWhyItEnds(_ text: String, _ wanted: EtcdError) {
        var stream = WatchStream()
        #expect(throws: wanted) { try stream.take(Data((text + "\n").utf8)) }
    }

    @Test func prefixesEnd() {
        #expect(Wire.end(of: [1, 2]) == [1, 3] && Wire.end(of: [1, 0xFF]) == [2] && Wire.end(of: [0xFF]) == [0])
    }

    @Test(arguments: ["", "x", "ftp://host", "http://", "http://host/path", "host:2379"])
    func refusesOtherURLs(_ text: String) {
        #expect(throws: EtcdError.badURL(text)) { try EtcdClient(text) }
    }
}
