// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

@testable import WeftNode

@Suite("Another port for calls in vain")
struct PortChoiceTests {
    @Test("after 20 s without an answer, then ever later, and from the beginning once somebody answered")
    func patience() {
        var calls = PortChoice.CallsInVain()
        var moves: [Int] = []
        for second in 0..<400 {
            let now = Instant(nanoseconds: UInt64(second) * 1_000_000_000)
            if calls.judge(isReached: false, isCalling: true, at: now) { moves.append(second) }
        }
        #expect(moves == [20, 60, 140, 300])
        let isMoved = calls.judge(isReached: true, isCalling: true, at: Instant(nanoseconds: 400_000_000_000))
        #expect(!isMoved)
        moves = []
        for second in 401..<450 {
            let now = Instant(nanoseconds: UInt64(second) * 1_000_000_000)
            if calls.judge(isReached: false, isCalling: true, at: now) { moves.append(second) }
        }
        #expect(moves == [421])
    }

    @Test("each peer by itself, a fresh one where the second is of no use, and back again")
    func each() {
        func second(_ number: Int) -> Instant { Instant(nanoseconds: UInt64(number) * 1_000_000_000) }
        let networks = [NetworkID.vni(1), .vni(2), .vni(3)]
        let places = (1...3).map { Endpoint(IPAddress(v4: UInt32($0)), port: 6081) }
        var choice = PortChoice()
        var changes: [(Int, PortChoice.Change)] = []
        func look(_ states: [ControlPeerStatus.State], at number: Int) {
            let called = zip(zip(networks, states), places).map { ($0.0, PortChoice.Called(state: $0.1, places: [$1])) }
            if let change = choice.look(at: Dictionary(uniqueKeysWithValues: called), second(number)) {
                changes.append((number, change))
            }
        }
        func expect(_ expected: [(Int, PortChoice.Change)], _ location: SourceLocation = #_sourceLocation) {
            #expect(changes.map(\.0) == expected.map(\.0), sourceLocation: location)
            #expect(changes.map(\.1) == expected.map(\.1), sourceLocation: location)
            changes = []
        }
        // The first is reached all along; the second is called in vain until it is called from elsewhere.
        for number in 0..<30 { look([.connected, number > 25 ? .connected : .dialing, .listening], at: number) }
        expect([(20, .init(places: [places[1]], isFresh: true))])
        // The third, too; the second port is of use.
        for number in 30..<60 { look([.connected, .connected, number % 2 == 0 ? .waiting : .dialing], at: number) }
        expect([(50, .init(places: [places[1], places[2]], isFresh: false))])
        // It's of none to the third one.
        for number in 60..<100 { look([.connected, .connected, .dialing], at: number) }
        expect([(90, .init(places: [places[1]], isFresh: false))])
        // It's of none to the second any more, either.
        for number in 100..<135 { look([.connected, .dialing, .connected], at: number) }
        expect([(120, .init(places: [], isFresh: false))])
        for number in 135..<180 { look([.connected, .dialing, .connected], at: number) }
        expect([(160, .init(places: [places[1]], isFresh: true))])
        // Who is gone from the file is served no more.
        _ = choice.look(at: [networks[0]: .init(state: .connected, places: [places[0]])], second(181))
        look([.connected, .connected, .connected], at: 182)
        expect([])
    }

    @Test("nobody moves who isn't calling, or whom one of several peers answers")
    func stays() {
        var calls = PortChoice.CallsInVain()
        for second in 0..<400 {
            let now = Instant(nanoseconds: UInt64(second) * 1_000_000_000)
            let isMoved = calls.judge(isReached: second % 2 == 0, isCalling: true, at: now)
            let isMovedIdle = calls.judge(isReached: false, isCalling: false, at: now)
            #expect(!isMoved && !isMovedIdle)
        }
    }
}
