// SPDX-License-Identifier: Apache-2.0
import Weft

/// Keeps names of peers looked up, side by side: without I/O, and without a clock. One thread uses it.
///
/// A name is asked for when it comes, again while its peer is silent, and when its answer's time to live ends. What was found stays
/// while it can't be found again.
public final class NameBook {
    /// A peer's name.
    public struct Wanted: Hashable, Sendable {
        /// Bytes of the longest host's name, with a final dot.
        public static let longestHost = HostName.longest + 1

        public var host: String
        public var port: UInt16
        /// What the hosts file says of it, which then goes before what resolvers say.
        public var listed: [IPAddress]

        public init(host: String, port: UInt16, listed: [IPAddress] = []) {
            self.host = host
            self.port = port
            self.listed = listed
        }
    }

    /// What became of a peer's name.
    public struct Change: Hashable, Sendable {
        /// By what its user knows the peer.
        public let peer: UInt32
        /// Where it may be, in the order in which that should be tried.
        public let places: [Endpoint]
        /// Why the name can't be looked up at present, for people.
        public let failure: String?
        /// Whether the peer had another name before: it isn't where that led.
        public let isRenamed: Bool
    }

    /// Between the beginnings of two look-ups of one name whose peer is silent.
    static let gap = Duration.seconds(5)
    /// What is found is asked for again no sooner, and no later, while the peer is fine.
    static let livesFor = Duration.seconds(30)...Duration.seconds(86_400)
    /// How long a look-up may take.
    static let limit = Duration.seconds(10)
    /// How long one family's addresses wait for the other's (RFC 8305, section 3).
    static let patience = Duration.milliseconds(50)
    /// How often names are looked at.
    private static let period = Duration.milliseconds(50)
    /// How many names are looked up at once; others wait for their turn.
    static let mostLookups = 256

    /// How many names a line names.
    private static let mostSaid = 8

    private let queries: any NameQueries
    private let log: (String) -> Void
    private var settings = ResolverSettings(resolvers: [])
    private var peers: [UInt32: Wanted] = [:]
    private var isSet = false
    private var hosts: [String: Host] = [:]
    private var questions: [UInt64: Host] = [:]
    private var lastNumber: UInt64 = 0
    private var renamed: Set<UInt32> = []
    /// Whether anything may have changed that wasn't told.
    private var hasNews = false
    private var nextLook = Instant(nanoseconds: 0)
    private var told: [UInt32: Change] = [:]

    /// A name, however many peers have it.
    private final class Host {
        let name: String
        var listed: [IPAddress] = []
        var found: [IPAddress] = []
        var failure: String?
        /// The last failure that was logged since the name was found.
        var logged: String?
        var isWanted = true
        var notBefore = Instant(nanoseconds: 0)
        var expiry = Instant.distantFuture
        var lookup: Lookup?

        init(_ name: String) { self.name = name }

        func isDue(at now: Instant) -> Bool {
            lookup == nil && listed.isEmpty && now >= notBefore && (isWanted || now >= expiry)
        }
    }

    private struct Lookup {
        /// How the name is still to be asked for, if this isn't known.
        var spellings: ArraySlice<String>
        var open: [UInt64: IPAddress.Family] = [:]
        var found: [IPAddress.Family: [IPAddress]] = [:]
        var timeToLive = NameBook.livesFor.upperBound
        var failure = NameFailure.noSuchName
        let deadline: Instant
        /// Until when the other family is waited for.
        var settled = Instant.distantFuture

        init(_ spellings: [String], deadline: Instant) {
            self.spellings = spellings[...]
            self.deadline = deadline
        }
    }

    /// - Parameter log: takes a line for people.
    public init(_ queries: any NameQueries, log: @escaping (String) -> Void) {
        self.queries = queries
        self.log = log
    }

    /// Sets whose names are looked up, and how. What was found of names that stay, stays, and is told once more. Who has come to have
    /// a name, or has another one than before, isn't where it was, says the file.
    public func set(_ names: [UInt32: Wanted], _ settings: ResolverSettings, at now: Instant) {
        renamed = renamed.filter { names[$0] != nil }
        for (peer, name) in names where isSet {
            guard let before = peers[peer] else {
                renamed.insert(peer)
                continue
            }
            if (before.host, before.port) != (name.host, name.port) { renamed.insert(peer) }
        }
        isSet = true
        peers = names
        hasNews = true
        nextLook = now
        told.removeAll()
        var kept: [String: Host] = [:]
        for name in names.values {
            let host = kept[name.host] ?? hosts[name.host] ?? Host(name.host)
            host.listed = name.listed
            kept[name.host] = host
        }
        let isAskedAnew = settings.resolvers != self.settings.resolvers
        sayWhom(kept.values.filter { $0.listed.isEmpty && (isAskedAnew || hosts[$0.name] == nil) }, settings.resolvers)
        hosts = kept
        questions = questions.filter { kept[$0.value.name] === $0.value }
        guard settings != self.settings else { return }
        if isAskedAnew || settings.search != self.settings.search {
            queries.setResolvers(settings.resolvers)
            questions.removeAll()
            for host in hosts.values {
                // Others may know it, or know better.
                host.isWanted =
                    host.isWanted || host.lookup != nil || host.failure != nil || host.expiry != .distantFuture
                host.lookup = nil
                host.notBefore = now
            }
        }
        self.settings = settings
    }

    /// Says who is asked for which names: the resolvers need not be the ones that the host's programs ask.
    private func sayWhom(_ hosts: [Host], _ resolvers: [IPAddress]) {
        guard !hosts.isEmpty, !resolvers.isEmpty else { return }
        let some = hosts.map(\.name).sorted().prefix(Self.mostSaid)
        let more = hosts.count > some.count ? " and \(hosts.count - some.count) more" : ""
        log("asks \(Self.list(resolvers)) for \(some.joined(separator: ", "))\(more)")
    }

    /// Has a peer's name asked for again, as the peer is silent.
    public func want(_ peer: UInt32) {
        if let name = peers[peer] { hosts[name.host]?.isWanted = true }
    }

    /// Does what is due. Call it every 50 ms, and when something came for the queries.
    public func advance(to now: Instant) {
        guard !hosts.isEmpty else { return }
        queries.advance()
        while let (number, answer) = queries.nextAnswer() { take(answer, number, at: now) }
        guard now >= nextLook else { return }
        nextLook = now.advanced(by: Self.period)
        for host in hosts.values {
            if let lookup = host.lookup, now >= min(lookup.deadline, lookup.settled) { conclude(host, at: now) }
        }
        for host in hosts.values where host.isDue(at: now) {
            guard questions.count < Self.mostLookups * 2 else { break }
            begin(host, at: now)
        }
    }

    // MARK: Look-ups

    private func begin(_ host: Host, at now: Instant) {
        host.isWanted = false
        host.notBefore = now.advanced(by: Self.gap)
        host.expiry = .distantFuture
        guard !settings.resolvers.isEmpty else {
            return fail(
                host, "no resolver is known: name one by Resolver in [Interface], or in /etc/resolv.conf", at: now)
        }
        host.lookup = Lookup(settings.spellings(of: host.name), deadline: now.advanced(by: Self.limit))
        askNext(host)
    }

    private func askNext(_ host: Host) {
        guard let name = host.lookup?.spellings.popFirst() else { return }
        for family in IPAddress.Family.allCases {
            lastNumber += 1
            questions[lastNumber] = host
            host.lookup?.open[lastNumber] = family
        }
        for (number, family) in (host.lookup?.open ?? [:]).sorted(by: { $0.key < $1.key }) {
            queries.ask(number, for: name, family)
        }
    }

    private func take(_ answer: NameAnswer, _ number: UInt64, at now: Instant) {
        guard let host = questions.removeValue(forKey: number), var lookup = host.lookup,
            let family = lookup.open.removeValue(forKey: number)
        else { return }
        switch answer {
        case .found(let addresses, let timeToLive):
            lookup.found[family] = addresses
            lookup.timeToLive = min(lookup.timeToLive, timeToLive)
            lookup.settled = now.advanced(by: Self.patience)
        case .failed(let why): lookup.failure = max(lookup.failure, why)
        }
        host.lookup = lookup
        guard lookup.open.isEmpty else { return }
        // Only where a name is known not to be there the next form of it is meant.
        if lookup.found.isEmpty, lookup.failure <= .noAddress, !lookup.spellings.isEmpty {
            askNext(host)
        } else {
            conclude(host, at: now)
        }
    }

    private func conclude(_ host: Host, at now: Instant) {
        guard let lookup = host.lookup else { return }
        host.lookup = nil
        for number in lookup.open.keys { questions[number] = nil }
        guard !lookup.found.isEmpty else {
            return fail(host, reason(lookup.open.isEmpty ? lookup.failure : .noAnswer), at: now)
        }
        hasNews = true
        host.found = [IPAddress.Family.v6, .v4].flatMap { lookup.found[$0] ?? [] }
        let bounds = Self.livesFor
        host.expiry = now.advanced(by: min(max(lookup.timeToLive, bounds.lowerBound), bounds.upperBound))
        host.failure = nil
        if host.logged != nil {
            host.logged = nil
            log("\(host.name) is found again: \(Self.list(host.found))")
        }
    }

    private func fail(_ host: Host, _ why: String, at now: Instant) {
        hasNews = true
        host.failure = why
        host.expiry = now.advanced(by: Self.livesFor.lowerBound)
        guard host.logged != why else { return }
        host.logged = why
        log("\(host.name) can't be looked up: \(why)")
    }

    private func reason(_ failure: NameFailure) -> String {
        let resolvers = Self.list(settings.resolvers)
        let what =
            switch failure {
            case .noSuchName: "there is no such name, says \(resolvers)"
            case .noAddress: "the name has no address, says \(resolvers)"
            case .refused: "\(resolvers) can't be reached, or refuses to answer"
            case .noAnswer: "no answer from \(resolvers)"
            }
        guard settings.isLastResort, failure > .noAddress else { return what }
        return what
            + ", which is on this host and may itself ask through the tunnel: name others by Resolver in [Interface]"
    }

    private static func list(_ addresses: [IPAddress]) -> String {
        addresses.map(\.description).joined(separator: ", ")
    }

    // MARK: What became of names

    /// What changed for peers since the last time.
    public func takeChanges() -> [Change] {
        guard hasNews else { return [] }
        hasNews = false
        var changes: [Change] = []
        for (peer, name) in peers {
            guard let host = hosts[name.host] else { continue }
            let addresses = host.listed.isEmpty ? host.found : host.listed
            let places = AddressOrder.arranged(addresses, ways: settings.ways).map { Endpoint($0, port: name.port) }
            let failure = host.listed.isEmpty ? host.failure : nil
            // A new name is told of with the first places that it leads to.
            let isRenamed = renamed.contains(peer) && !places.isEmpty
            let change = Change(peer: peer, places: places, failure: failure, isRenamed: isRenamed)
            let before = told[peer]
            guard isRenamed || before?.places != places || before?.failure != failure else { continue }
            if before == nil, places.isEmpty, failure == nil { continue }
            told[peer] = change
            if isRenamed { renamed.remove(peer) }
            changes.append(change)
        }
        return changes
    }
}
