// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftProxy

@Suite("SOCKS5")
struct SOCKS5MessageTests {
    /// What is there as a whole is read, and no beginning of it is.
    private func read<Value>(
        _ bytes: [UInt8], _ read: ([UInt8]) -> SOCKS5Message.Reading<Value>
    ) throws -> (value: Value, count: Int) {
        for count in bytes.indices {
            guard case .more = read(Array(bytes.prefix(count))) else {
                Issue.record("\(count) of \(bytes.count) bytes aren't waited for")
                continue
            }
        }
        guard case .value(let value, let count) = read(bytes + [0xAA]) else {
            throw SOCKS5Failure()
        }
        return (value, count)
    }

    struct SOCKS5Failure: Error {}

    @Test("what a client begins with")
    func greeting() throws {
        let (methods, count) = try read([5, 2, 0, 2]) { SOCKS5Message.methods($0) }
        #expect(methods == [0, 2] && count == 4)
        guard case .bad = SOCKS5Message.methods([4, 1]) else {
            Issue.record("SOCKS4 is taken for SOCKS5")
            return
        }
    }

    @Test("a login")
    func login() throws {
        let (login, count) = try read([1, 2, 0x6D, 0x65, 3, 0x61, 0x62, 0x63]) { SOCKS5Message.login($0) }
        #expect(login.user == [0x6D, 0x65] && login.password == [0x61, 0x62, 0x63] && count == 8)
    }

    @Test(
        "a request, by each kind of address",
        arguments: [
            ([5, 1, 0, 1, 10, 77, 0, 2, 0, 80], "10.77.0.2:80"),
            ([5, 1, 0, 4] + [0xFD, 0x77] + [UInt8](repeating: 0, count: 13) + [2, 1, 0xBB], "[fd77::2]:443"),
            ([5, 1, 0, 3, 9] + Array("10.77.0.2".utf8) + [0, 22], "10.77.0.2:22"),
        ] as [([UInt8], String)])
    func request(_ bytes: [UInt8], _ endpoint: String) throws {
        let (request, count) = try read(bytes) { SOCKS5Message.request($0) }
        #expect(request.command == .connect && count == bytes.count)
        #expect(request.target == Endpoint(endpoint).map { .endpoint($0) })
    }

    @Test("a request by name")
    func name() throws {
        let bytes: [UInt8] = [5, 3, 0, 3, 4] + Array("host".utf8) + [0x1F, 0x90]
        let (request, _) = try read(bytes) { SOCKS5Message.request($0) }
        #expect(request.command == .associate && request.target == .name("host", port: 8080))
    }

    @Test("a request of a kind that there is none of says so, rather than wait")
    func unknown() throws {
        guard case .value(let request, _) = SOCKS5Message.request([5, 9, 0, 7]) else {
            Issue.record("it is waited for")
            return
        }
        #expect(request.command == nil && request.target == nil)
    }

    @Test("a datagram's header is read back as it is written, and a fragment is refused")
    func datagram() throws {
        let endpoint = try #require(Endpoint("[fd77::2]:53"))
        let bytes = SOCKS5Message.header(from: endpoint)
        guard case .value(let target, let count) = SOCKS5Message.datagram(bytes + [1, 2, 3]) else {
            Issue.record("it isn't read")
            return
        }
        #expect(target == .endpoint(endpoint) && count == bytes.count)
        guard case .bad = SOCKS5Message.datagram([0, 0, 1] + bytes.dropFirst(3)) else {
            Issue.record("a fragment is taken for a whole datagram")
            return
        }
    }
}
