// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing
import WeftTestSupport

@testable import Weft
@testable import WeftUDP

@Suite("Socket addresses")
struct SocketAddressTests {
    @Test("IPv4, IPv6 and IPv4-mapped endpoints come back as they went")
    func roundTrips() throws {
        var generator = SeededGenerator.fresh()
        for _ in 0..<1_000 {
            let port = UInt16.random(in: 0...UInt16.max, using: &generator)
            let four = Endpoint(IPAddress(v4: .random(in: 0...UInt32.max, using: &generator)), port: port)
            let six = Endpoint(
                IPAddress(
                    v6: .random(in: 0...UInt64.max, using: &generator), .random(in: 0...UInt64.max, using: &generator)),
                port: port)
            #expect(SocketAddress(four, .v4Only)?.endpoint == four)
            #expect(SocketAddress(four, .dualStack)?.endpoint == four)
            #expect(SocketAddress(six, .dualStack)?.endpoint == six)
            #expect(SocketAddress(six, .v4Only) == nil)
        }
    }

    @Test("the bytes are what the kernel reads")
    func bytes() throws {
        let four = Endpoint(IPAddress(v4: 0x7F00_0001), port: 0x1234)
        let plain = try #require(SocketAddress(four, .v4Only))
        let raw = unsafe withUnsafeBytes(of: plain.storage) { unsafe Array($0.prefix(8)) }
        #expect(raw == [UInt8(AF_INET), 0, 0x12, 0x34, 127, 0, 0, 1])
        let mapped = try #require(SocketAddress(four, .dualStack))
        let long = unsafe withUnsafeBytes(of: mapped.storage) { unsafe Array($0) }
        #expect(
            long == [UInt8(AF_INET6), 0, 0x12, 0x34, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 10)
                + [0xFF, 0xFF, 127, 0, 0, 1, 0, 0, 0, 0])
        #expect(SocketAddress.length(.v4Only) == 16 && SocketAddress.length(.dualStack) == 28)
    }
}
