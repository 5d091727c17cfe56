// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftTestSupport

@testable import WeftPaths

/// Two ends, whatever stands between them, and somebody who looks on. What is sealed can't be read or made by others; it can be
/// repeated, earlier than it comes, and from any address.
final class SimulatedNetwork {
    enum Content: Equatable {
        case data
        case keepAlive
        case question(UInt64, length: Int)
        case answer(UInt64)
    }

    struct Datagram {
        let from: Int
        let counter: UInt64
        let content: Content
        var source: Endpoint
        var target: Endpoint
        var due: Instant
    }

    /// An end of the tunnel.
    final class End {
        let paths: Paths
        /// Where it really is: the address that its datagrams leave from.
        var address: Endpoint
        /// Its mapping at a NAT, from which the others see it come, and where they reach it.
        var mapping: Endpoint?
        /// Other addresses at which it is reached.
        var others: Set<Endpoint> = []
        /// Where its data goes, as its engine has it.
        var endpoint: Endpoint?
        var isSending = true
        var answers = true
        /// The longest packet that goes whole, as its engine has it.
        var limit: Int?
        var counter: UInt64 = 0
        var highest: UInt64 = 0
        var seen: Set<UInt64> = []
        /// When data of the other end's came last.
        var lastData: Instant?
        /// All places where its data went.
        var endpoints: Set<Endpoint> = []

        init(_ paths: Paths, at address: Endpoint) {
            self.paths = paths
            self.address = address
        }

        var reachedAt: Endpoint { mapping ?? address }

        func isReached(at place: Endpoint) -> Bool { place == reachedAt || others.contains(place) }
    }

    /// What the one who looks on does with datagrams from end 0 to end 1.
    enum Attack: Equatable, CaseIterable {
        case none
        /// Sends each keep-alive again, a moment before it comes, from its own address.
        case raceKeepAlives
        /// The same with everything, probes and answers too.
        case raceAll
        /// The same, and hands on what comes to it in both directions, as a NAT would.
        case relay
        /// The same from a victim's address.
        case spoof
    }

    static let peer = NetworkID.vni(7)
    static let attacker = Endpoint(IPAddress(v4: 0xC633_6442), port: 5555)
    static let victim = Endpoint(IPAddress(v4: 0xC633_6409), port: 9)

    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    let ends: [End]
    var attack = Attack.none
    /// Whether datagrams pass between the ends.
    var isCut = false
    var loss = 0.0
    /// The longest inner packet that passes.
    var longest = 1400
    var delay = Duration.milliseconds(20)
    private var underWay: [Datagram] = []
    private var generator: SeededGenerator
    /// What came to the victim, and how much the attacker did for that.
    var atVictim: [Content] = []
    var spoofed = 0
    /// Datagrams to where nobody is, by address.
    var lost: [Endpoint: Int] = [:]

    init(
        _ generator: SeededGenerator, rules: (PathRules, PathRules), at addresses: (Endpoint, Endpoint),
        lengths: PathLengths = .fixed(1400)
    ) {
        self.generator = generator
        var tokens = generator
        ends = [(rules.0, addresses.0), (rules.1, addresses.1)].map { rules, address in
            let paths = Paths(lengths) { .random(in: 0...UInt64.max, using: &tokens) }
            let place = rules.endpoint.map { AddressPair($0) }
            paths.setPeers([Self.peer: rules], at: place.map { [Self.peer: $0] } ?? [:])
            let end = End(paths, at: address)
            end.endpoint = rules.endpoint
            return end
        }
    }

    // MARK: Sending

    func send(_ content: Content, from number: Int, to target: Endpoint?) {
        guard let target else { return }
        let end = ends[number]
        end.counter += 1
        let datagram = Datagram(
            from: number, counter: end.counter, content: content, source: end.reachedAt, target: target,
            due: now.advanced(by: delay))
        put(datagram, by: number)
    }

    private func put(_ datagram: Datagram, by number: Int) {
        if number == 0, datagram.target == ends[1].reachedAt { look(at: datagram) }
        guard Double.random(in: 0..<1, using: &generator) >= loss else { return }
        underWay.append(datagram)
    }

    /// The one who looks on sees a datagram on its way.
    private func look(at datagram: Datagram) {
        guard attack != .none, attack != .raceKeepAlives || datagram.content == .keepAlive else { return }
        var copy = datagram
        copy.due = now.advanced(by: delay / 4)
        copy.source = attack == .spoof ? Self.victim : Self.attacker
        if attack == .spoof { spoofed += 1 }
        underWay.append(copy)
    }

    // MARK: Arriving

    private func deliver(_ datagram: Datagram) {
        if datagram.target == Self.victim { return atVictim.append(datagram.content) }
        if datagram.target == Self.attacker { return handOn(datagram) }
        guard let number = ends.firstIndex(where: { $0.isReached(at: datagram.target) }), number != datagram.from else {
            lost[datagram.target, default: 0] += 1
            return
        }
        // The attacker's own way is another one.
        guard !isCut || datagram.source == Self.attacker || datagram.source == Self.victim else { return }
        let end = ends[number]
        guard end.seen.insert(datagram.counter).inserted else { return }
        let isNewest = datagram.counter > end.highest
        end.highest = max(end.highest, datagram.counter)
        let place = AddressPair(datagram.source)
        switch datagram.content {
        case .data: end.lastData = now
        case .keepAlive: break
        case .question(let token, let length):
            guard end.answers, length <= longest else { return }
            for place in end.paths.places(answering: place, of: Self.peer, at: now) {
                send(.answer(token), from: number, to: place.remote)
            }
        case .answer(let token): end.paths.answered(token, by: Self.peer, at: now)
        }
        if isNewest, datagram.source != end.endpoint {
            end.paths.suggest(place, for: Self.peer, by: .source, at: now)
        }
        act(number)
    }

    /// What comes to the attacker, it hands on to the other end, from its own address.
    private func handOn(_ datagram: Datagram) {
        guard attack == .relay else { return }
        var copy = datagram
        copy.source = Self.attacker
        copy.target = ends[1 - datagram.from].reachedAt
        copy.due = now.advanced(by: delay)
        underWay.append(copy)
    }

    // MARK: Time

    func act(_ number: Int) {
        let end = ends[number]
        for (_, action) in end.paths.takeActions() {
            switch action {
            case .probe(let token, let place, let length):
                send(.question(token, length: length), from: number, to: place.remote)
            case .limit(let bytes): end.limit = bytes
            case .move(let place): end.endpoint = place.remote
            }
        }
    }

    /// Lets time pass, in steps of 10 ms.
    func run(for duration: Duration, _ each: () -> Void = {}) {
        let end = now.advanced(by: duration)
        while now < end {
            now = now.advanced(by: .milliseconds(10))
            let arrived = underWay.filter { $0.due <= now }.sorted { $0.due < $1.due }
            underWay.removeAll { $0.due <= now }
            for datagram in arrived { deliver(datagram) }
            let isTick = now.nanoseconds % 50_000_000 == 0
            for number in 0..<2 {
                let end = ends[number]
                if isTick, end.isSending { send(.data, from: number, to: end.endpoint) }
                if now.nanoseconds % 1_000_000_000 == 0 { send(.keepAlive, from: number, to: end.endpoint) }
                if isTick { end.paths.advance(to: now) { _ in end.isSending } }
                act(number)
                if let endpoint = end.endpoint { end.endpoints.insert(endpoint) }
            }
            each()
        }
    }

    /// Whether data of both ends has come within a moment.
    var isUp: Bool {
        ends.allSatisfy { end in
            end.lastData.map { now.duration(since: $0) < .milliseconds(300) } ?? false
        }
    }
}
