// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftNames

/// Names are looked up side by side, and a bad one costs itself.
@Suite("The book of names")
struct NameBookTests {
    /// Resolvers that answer as a test says.
    final class Resolvers: NameQueries {
        var addresses: [IPAddress] = []
        /// What each name has; nothing is answered for names that aren't there.
        var zone: [String: [IPAddress]] = [:]
        var failures: [String: NameFailure] = [:]
        var timeToLive = Duration.seconds(60)
        /// Families that are never answered for.
        var silent: Set<IPAddress.Family> = []
        private(set) var asked: [String] = []
        private var answers: [(UInt64, NameAnswer)] = []

        func setResolvers(_ resolvers: [IPAddress]) {
            addresses = resolvers
            answers.removeAll()
        }

        func ask(_ number: UInt64, for name: String, _ family: IPAddress.Family) {
            asked.append("\(name) \(family)")
            guard !silent.contains(family) else { return }
            if let why = failures[name] { return answers.append((number, .failed(why))) }
            guard let all = zone[name] else { return }
            let found = all.filter { $0.family == family }
            answers.append(
                (number, found.isEmpty ? .failed(.noAddress) : .found(found, timeToLive: timeToLive)))
        }

        func advance() {}

        func nextAnswer() -> (number: UInt64, answer: NameAnswer)? {
            answers.isEmpty ? nil : answers.removeFirst()
        }
    }

    /// A book with its clock.
    final class Fixture {
        let resolvers = Resolvers()
        var now = Instant(nanoseconds: 1_000_000_000)
        var lines: [String] = []
        private(set) var places: [UInt32: [String]] = [:]
        private(set) var failures: [UInt32: String] = [:]
        private(set) var renamed: [UInt32] = []
        private(set) var told = 0
        private var made: NameBook?
        var settings = ResolverSettings(resolvers: [IPAddress(v4: 0xC000_0235)])

        var book: NameBook {
            if let made { return made }
            let book = NameBook(resolvers) { [unowned self] in lines.append($0) }
            made = book
            return book
        }

        func set(_ names: [UInt32: String], listed: [String: [String]] = [:]) {
            book.set(
                names.mapValues {
                    .init(host: $0, port: 6081, listed: (listed[$0] ?? []).compactMap { IPAddress($0) })
                },
                settings, at: now)
        }

        /// Lets time pass, in steps as a loop's.
        func pass(_ duration: Duration) {
            let end = now.advanced(by: duration)
            repeat {
                now = min(now.advanced(by: .milliseconds(50)), end)
                book.advance(to: now)
                for change in book.takeChanges() {
                    told += 1
                    places[change.peer] = change.places.map(\.description)
                    failures[change.peer] = change.failure
                    if change.isRenamed { renamed.append(change.peer) }
                }
            } while now < end
        }
    }

    private let one = [IPAddress(v4: 0xC000_0201), IPAddress(v6: 0x2001_0DB8_0000_0000, 1)]

    @Test("finds a good name at once among others that nobody answers for, and says which fail, once")
    func sideBySide() {
        let fixture = Fixture()
        fixture.resolvers.zone["good.example"] = one
        let bad = (1...300).map { "bad\($0).example" }
        var names = Dictionary(uniqueKeysWithValues: bad.enumerated().map { (UInt32($0.offset), $0.element) })
        names[1000] = "good.example"
        fixture.set(names)
        fixture.pass(.seconds(11))
        #expect(fixture.places[1000] == ["[2001:db8::1]:6081", "192.0.2.1:6081"])
        fixture.pass(.seconds(60))
        for peer in 0..<UInt32(300) {
            #expect(fixture.failures[peer] == "no answer from 192.0.2.53")
        }
        #expect(fixture.lines.count == 301, "\(fixture.lines.prefix(3))")
        #expect(fixture.lines.first?.hasPrefix("asks 192.0.2.53 for bad1.example, bad10.example, ") == true)
        #expect(fixture.lines.first?.hasSuffix(" and 293 more") == true)
        #expect(fixture.lines.contains("bad7.example can't be looked up: no answer from 192.0.2.53"))
    }

    @Test("goes on with one family where the other's question stays unanswered")
    func oneFamily() {
        let fixture = Fixture()
        fixture.resolvers.zone["server.example"] = one
        fixture.resolvers.silent = [.v6]
        fixture.set([7: "server.example"])
        fixture.pass(.milliseconds(200))
        #expect(fixture.places[7] == ["192.0.2.1:6081"] && fixture.failures[7] == nil)
    }

    @Test("asks again while a peer is silent, every 5 s, and else once the time to live has ended")
    func again() {
        let fixture = Fixture()
        fixture.resolvers.zone["server.example"] = one
        fixture.resolvers.timeToLive = .seconds(100)
        fixture.set([7: "server.example", 8: "server.example"])
        fixture.pass(.seconds(90))
        #expect(fixture.resolvers.asked.count == 2, "one question for each family, whoever has the name")
        fixture.pass(.seconds(20))
        #expect(fixture.resolvers.asked.count == 4)
        for _ in 0..<400 {
            fixture.book.want(7)
            fixture.pass(.milliseconds(50))
        }
        #expect((10...14).contains(fixture.resolvers.asked.count), "\(fixture.resolvers.asked.count)")
        fixture.resolvers.zone["server.example"] = [IPAddress(v4: 0xC000_0209)]
        fixture.book.want(8)
        fixture.pass(.seconds(6))
        #expect(fixture.places[7] == ["192.0.2.9:6081"] && fixture.places[8] == ["192.0.2.9:6081"])
    }

    @Test("keeps what was found while it can't be found again, and says when it is")
    func stale() {
        let fixture = Fixture()
        fixture.resolvers.zone["server.example"] = one
        fixture.set([7: "server.example"])
        fixture.pass(.seconds(1))
        fixture.resolvers.failures["server.example"] = .refused
        fixture.book.want(7)
        fixture.pass(.seconds(6))
        #expect(
            fixture.places[7]?.count == 2 && fixture.failures[7] == "192.0.2.53 can't be reached, or refuses to answer")
        fixture.resolvers.failures.removeAll()
        fixture.book.want(7)
        fixture.pass(.seconds(6))
        #expect(fixture.failures[7] == nil)
        #expect(fixture.lines.last == "server.example is found again: 2001:db8::1, 192.0.2.1")
    }

    @Test("takes a hosts file's word before a resolver's, and a resolver's once the file has none")
    func listed() {
        let fixture = Fixture()
        fixture.resolvers.zone["server.example"] = one
        fixture.set([7: "server.example"], listed: ["server.example": ["198.51.100.1"]])
        fixture.pass(.seconds(30))
        #expect(fixture.places[7] == ["198.51.100.1:6081"] && fixture.resolvers.asked.isEmpty)
        fixture.set([7: "server.example"])
        fixture.pass(.seconds(1))
        #expect(fixture.places[7]?.count == 2)
    }

    @Test("tries the domains of the search list while a name isn't there, and no further once a resolver fails")
    func search() {
        let fixture = Fixture()
        fixture.settings.search = ["a.example", "b.example"]
        fixture.resolvers.failures["host.a.example"] = .noSuchName
        fixture.resolvers.zone["host.b.example"] = one
        fixture.resolvers.failures["other.a.example"] = .refused
        fixture.set([7: "host", 8: "other"])
        fixture.pass(.seconds(1))
        #expect(fixture.places[7]?.count == 2)
        #expect(fixture.failures[8] == "192.0.2.53 can't be reached, or refuses to answer")
        #expect(!fixture.resolvers.asked.contains("other.b.example v4"))
    }

    @Test("begins anew with other resolvers, and says what to do where there is none, or only the host's own")
    func resolvers() {
        let fixture = Fixture()
        fixture.settings.resolvers = []
        fixture.set([7: "server.example"])
        fixture.pass(.seconds(1))
        #expect(fixture.failures[7]?.contains("name one by Resolver in [Interface]") == true)
        fixture.settings.resolvers = [IPAddress(v4: 0x7F00_0035)]
        fixture.settings.isLastResort = true
        fixture.set([7: "server.example"])
        fixture.pass(.seconds(12))
        #expect(fixture.failures[7]?.contains("no answer from 127.0.0.53, which is on this host") == true)
        fixture.settings = ResolverSettings(resolvers: [IPAddress(v4: 0xC000_0235)])
        fixture.resolvers.zone["server.example"] = one
        fixture.set([7: "server.example"])
        fixture.pass(.seconds(1))
        #expect(fixture.places[7]?.count == 2 && fixture.failures[7] == nil)
    }

    @Test("says that a peer has another name, together with where that leads")
    func renamed() {
        let fixture = Fixture()
        fixture.resolvers.zone["one.example"] = one
        fixture.set([7: "one.example"])
        fixture.pass(.seconds(1))
        fixture.set([7: "two.example"])
        fixture.pass(.seconds(1))
        #expect(fixture.renamed.isEmpty)
        fixture.resolvers.zone["two.example"] = one
        fixture.pass(.seconds(61))
        #expect(fixture.renamed == [7])
        // And one that had none before.
        fixture.set([7: "two.example", 8: "one.example"])
        fixture.pass(.seconds(1))
        #expect(fixture.renamed == [7, 8])
    }

    @Test("tells what it knows once more when the names come again, as who hears of it may be another one")
    func retold() {
        let fixture = Fixture()
        fixture.resolvers.zone["server.example"] = one
        fixture.set([7: "server.example"])
        fixture.pass(.seconds(1))
        #expect(fixture.told == 1)
        fixture.pass(.seconds(10))
        #expect(fixture.told == 1)
        fixture.set([7: "server.example"])
        fixture.pass(.seconds(1))
        #expect(fixture.told == 2 && fixture.renamed.isEmpty && fixture.resolvers.asked.count == 2)
    }

    @Test("survives any order of changes")
    func random() {
        var random = SeededGenerator.fresh()
        let fixture = Fixture()
        let names = (0..<6).map { "host\($0)" }
        for _ in 0..<3000 {
            let name = names.randomElement(using: &random) ?? ""
            switch Int.random(in: 0..<7, using: &random) {
            case 0: fixture.resolvers.zone[name] = [IPAddress(v4: .random(in: 1...UInt32.max, using: &random))]
            case 1:
                fixture.resolvers.failures[name] =
                    [.noSuchName, .refused, .noAnswer, nil].randomElement(using: &random) ?? nil
            case 2:
                fixture.settings.resolvers = (0..<Int.random(in: 0...2, using: &random)).map {
                    IPAddress(v4: 0xC000_0201 + UInt32($0))
                }
                fixture.set([1: name, 2: names.randomElement(using: &random) ?? ""])
            case 3: fixture.set([1: name, 2: name], listed: Bool.random(using: &random) ? [name: ["192.0.2.77"]] : [:])
            case 4: fixture.resolvers.silent = Bool.random(using: &random) ? [.v4] : []
            case 5: fixture.book.want(.random(in: 1...3, using: &random))
            default: fixture.pass(.milliseconds(.random(in: 50...8000, using: &random)))
            }
        }
        // Whatever happened, a name that is there is found in the end.
        fixture.resolvers.zone["host0"] = one
        fixture.resolvers.failures.removeAll()
        fixture.resolvers.silent = []
        fixture.settings.resolvers = [IPAddress(v4: 0xC000_0235)]
        fixture.set([1: "host0"])
        fixture.book.want(1)
        fixture.pass(.seconds(60))
        #expect(fixture.places[1]?.count == 2 && fixture.failures[1] == nil, "seed \(random.seed)")
    }
}
