// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftPair

@testable import WeftNode

@Suite("Networks that a control process grants")
struct GrantBooksTests {
    @Test("an initiator has twice as many as it may hold, those that come and go in one step too")
    func limit() throws {
        let holder = try Identity.generate().publicKey
        let prefix = try #require(Prefix("10.80.0.0/24"))
        let server = ServedConfiguration.KeyServer(
            link: .shared, configuration: .init(localPrefixes: [prefix], lifetime: .seconds(3600)),
            initiators: [3: AuthorizedInitiator(publicKey: holder, prefixes: [prefix], networks: 2)])
        let pair = SAPair(
            receiveSPI: 1, receiveKey: try PacketKey([UInt8](repeating: 1, count: 16)), transmitSPI: 2,
            transmitKey: try PacketKey([UInt8](repeating: 2, count: 16)), expiry: .distantFuture)
        var books = GrantBooks()
        func add(_ vni: UInt32) -> Bool {
            books.add(
                GrantRecord(
                    vni: vni, address: IPAddress(v4: 0x0A50_0000 + vni), initiator: 3,
                    endpoint: Endpoint(IPAddress(v4: 0xC000_0202), port: 6081), isReceiveOnly: false,
                    expiry: .distantFuture), pair, server)
        }
        let first = (1...5).map { add($0) }
        #expect(first == [true, true, true, true, false])
        #expect(books.takeStaged(server).added.count == 4)
        for vni in [1, 2, 2, 9] as [UInt32] { books.remove(vni) }
        let second = [6, 7, 8].map { add($0) }
        #expect(second == [true, true, false])
        // A control process that ends before the step leaves what was there.
        books.forgetStaged()
        #expect(Set(books.all.map(\.vni)) == [1, 2, 3, 4])
        let third = add(9)
        books.remove(4)
        let fourth = add(9)
        #expect(!third && fourth)
        let changes = books.takeStaged(server)
        #expect(changes.removed == [4] && changes.added.map(\.vni) == [9])
        #expect(Set(books.all.map(\.vni)) == [1, 2, 3, 9])
    }
}
