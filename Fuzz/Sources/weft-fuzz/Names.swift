// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftDNS

@testable import WeftNames

/// resolv.conf and the hosts file, which programs of all kinds write.
enum NameFiles {
    static func resolvers(_ input: RawSpan) {
        let file = ResolverFile(input.array())
        check(file.servers.count <= ResolverSettings.mostResolvers, "\(file.servers.count) resolvers")
        check(file.search.count <= ResolverSettings.mostDomains && file.dots <= 15, "\(file)")
        for server in file.servers { check(!server.address.isUnspecified, "\(server)") }
        let settings = ResolverSettings(search: file.search, dots: file.dots)
        for name in ["a", "a.b", "a."] {
            let spellings = settings.spellings(of: name)
            check((1...ResolverSettings.mostDomains + 1).contains(spellings.count), "\(spellings)")
            check(spellings.allSatisfy { $0.utf8.count <= HostName.longest }, "\(spellings)")
        }
    }

    static func hosts(_ input: RawSpan) {
        let names: Set<String> = ["a", "server.example", "_x"]
        for (name, addresses) in HostsFile.addresses(of: names, in: input.array()) {
            check(names.contains(name) && !addresses.isEmpty, name)
            check(addresses.count <= HostsFile.mostAddresses && Set(addresses).count == addresses.count, "\(addresses)")
            check(addresses.allSatisfy { !$0.isUnspecified && !$0.isLinkLocal }, "\(addresses)")
        }
    }

    static func seeds() -> [[UInt8]] {
        [
            "nameserver 192.0.2.1\nnameserver fe80::1%eth0\nsearch a.example b.example\noptions ndots:2 edns0\n",
            "# comment\ndomain a.example.\r\nnameserver 2001:db8::1 ; more\n",
            "127.0.0.1 localhost\n192.0.2.1\tServer.Example server.example. _x # a\nfe80::1%lo a\n::1 a\n",
        ].map { Array($0.utf8) }
    }
}

/// What comes from resolvers, through c-ares: whatever it is, questions end, and addresses are bounded.
final class DNSAnswers {
    private let channel: DNSChannel
    private var question: (socket: UInt32, bytes: [UInt8])?
    private var number: UInt64 = 0

    init() throws {
        channel = try DNSChannel()
        channel.setWay(
            .init(send: { [unowned self] bytes, socket, _, _ in question = (socket, bytes) }, close: { _ in }))
        channel.setResolvers([IPAddress(v4: 0xC000_0235)])
    }

    /// The first byte says how much of the question the answer begins with; the rest is the answer's.
    func run(_ input: RawSpan) {
        question = nil
        number += 1
        channel.ask(number, for: "server.example", number % 2 == 0 ? .v4 : .v6)
        if let question {
            let kept = [0, 2, 12, question.bytes.count][Int(input.control(0)) % 4]
            var answer = Array(question.bytes.prefix(kept)) + input.array(from: 1)
            if kept > 2 { answer[2] |= 0x80 }
            channel.receive(answer, by: question.socket)
            // What is cut off is asked for again by a stream.
            if let again = self.question, again.socket != question.socket { channel.receive(answer, by: again.socket) }
        }
        channel.advance()
        while let (_, answer) = channel.nextAnswer() {
            guard case .found(let addresses, let timeToLive) = answer else { continue }
            check((1...HostsFile.mostAddresses).contains(addresses.count) && timeToLive >= .zero, "\(answer)")
        }
        // What is still under way is called off.
        channel.setResolvers([IPAddress(v4: 0xC000_0235)])
    }

    static func seeds() -> [[UInt8]] {
        let record = [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 77, 0, 4, 192, 0, 2, 1] as [UInt8]
        let name = [6] + Array("server".utf8) + [7] + Array("example".utf8) + [0]
        return [
            [2, 0, 1] + name + [0, 1, 0, 1] + record,
            [1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0] + name + [0, 1, 0, 1] + record,
            [3] + record, [0], [2, 0, 1, 0xC0, 12, 0, 1, 0, 1],
            // An alias of itself.
            [1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0] + name + [
                0, 1, 0, 1, 0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 2, 0xC0, 12,
            ],
        ]
    }
}
