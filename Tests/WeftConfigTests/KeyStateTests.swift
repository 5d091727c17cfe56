// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing
import WeftTestSupport

@testable import WeftConfig

/// Keys and a folder to keep their state in.
struct KeyStateFixture {
    let scratch: ScratchFolder
    let send: ManualKey
    let receive: ManualKey
    let otherReceive: ManualKey

    init() throws {
        func key(_ byte: UInt8) throws -> ManualKey {
            try #require(ManualKey(copying: unsafe [UInt8](repeating: byte, count: 16).span.bytes))
        }
        scratch = try ScratchFolder()
        send = try key(1)
        receive = try key(2)
        otherReceive = try key(3)
    }

    /// The state folder; it isn't there at first.
    var directory: String { scratch.path + "/state" }
    /// The send key's file, within `scratch`.
    var file: String { "state/\(name).state" }
    var name: String { KeyFingerprint(send, role: .send)?.description ?? "" }

    /// The machine that tests run on.
    static let machine = MachineID(text: Array("0123456789abcdef0123456789abcdef\n".utf8))

    func open(
        epoch: UInt32 = 5, receive other: ManualKey? = nil, on machine: MachineID? = Self.machine
    ) throws(KeyStateError) -> KeyState {
        try KeyState.open(
            directory: directory, sendKey: send, receiveKey: other ?? receive, epoch: epoch, machine: machine)
    }

    /// Opens what was just closed. A process that another test starts holds every lock of ours between its fork and its
    /// exec, so a lock may seem to be in use for a moment.
    func reopen(epoch: UInt32) throws -> KeyState {
        for _ in 0..<200 {
            do throws(KeyStateError) {
                return try open(epoch: epoch)
            } catch {
                guard case .inUse = error else { throw error }
                usleep(10_000)
            }
        }
        return try open(epoch: epoch)
    }

    /// Opens and closes again, and says where counters began and ended.
    func restart(epoch: UInt32 = 5) throws(KeyStateError) -> Range<UInt64> {
        let state = try open(epoch: epoch)
        defer { state.close() }
        return state.firstCounterFloor..<state.counterLimit
    }

    /// Puts a record in the file's place, with a good checksum.
    func plant(_ record: KeyStateRecord) throws {
        try scratch.write(try #require(record.encoded(name: "\(name).state")), to: file)
    }

    func record(mark: UInt64) -> KeyStateRecord {
        KeyStateRecord(
            epoch: 5, mark: mark, receiveKey: KeyFingerprint(receive, role: .receive)?.description ?? "", received: nil,
            machine: .init(Self.machine))
    }
}

@Suite("Key states")
struct KeyStateTests {
    private let fixture: KeyStateFixture
    private let step = KeyState.step

    init() throws {
        fixture = try KeyStateFixture()
    }

    @Test("a new key begins at 0, and the mark is on the disk before a counter is usable")
    func fresh() throws {
        let state = try fixture.open()
        #expect(state.epoch == 5)
        #expect(state.firstCounterFloor == 0)
        #expect(state.counterLimit == step)
        #expect(state.highestReceivedBefore == nil)
        let written = try KeyStateRecord(fixture.scratch.bytes(of: fixture.file), name: "\(fixture.name).state")
        #expect(written == fixture.record(mark: step))
        #expect(try fixture.scratch.names == ["state"])
    }

    @Test("the same epoch goes on above the mark, a higher one at 0, a lower one not at all")
    func epochs() throws {
        #expect(try fixture.restart() == 0..<step)
        #expect(try fixture.restart() == step..<2 * step)
        #expect(try fixture.restart(epoch: 6) == 0..<step)
        #expect(throws: KeyStateError.lowerEpoch(asked: 5, used: 6, path: "\(fixture.directory)/\(fixture.name).state"))
        {
            try fixture.restart()
        }
        let message = "\(KeyStateError.lowerEpoch(asked: 5, used: 6, path: "/x"))"
        #expect(message.contains("Epoch 5 is lower than 6") && message.contains("set Epoch to 6 or more"))
        #expect(try fixture.restart(epoch: 6) == step..<2 * step)
        #expect(try fixture.restart(epoch: UInt32.max) == 0..<step)
    }

    @Test("advancing writes the next mark as the counter comes near, and nothing before")
    func advance() throws {
        let state = try fixture.open()
        #expect(try state.advance(past: step / 2 - 1) == step)
        #expect(try state.advance(past: step / 2) == 2 * step)
        #expect(try state.advance(past: step / 2) == 2 * step)
        #expect(state.counterLimit == 2 * step)
        #expect(try state.advance(past: 2 * step - 1) == 3 * step)
        // Were more counters used than there should be, the mark still passes them.
        #expect(try state.advance(past: 9 * step + 6) == 10 * step + 7)
        state.close()
        #expect(try fixture.restart() == 10 * step + 7..<11 * step + 7)
    }

    @Test("counters end at 2^60")
    func end() throws {
        _ = try fixture.restart()
        try fixture.plant(fixture.record(mark: KeyState.counterEnd - step - 5))
        let state = try fixture.open()
        #expect(state.counterLimit == KeyState.counterEnd - 5)
        #expect(try state.advance(past: KeyState.counterEnd - 6) == KeyState.counterEnd)
        #expect(try state.advance(past: KeyState.counterEnd - 2) == KeyState.counterEnd)
        let path = "\(fixture.directory)/\(fixture.name).state"
        for counter in [KeyState.counterEnd - 1, KeyState.counterEnd, UInt64.max] {
            #expect(throws: KeyStateError.exhausted(epoch: 5, path: path)) { try state.advance(past: counter) }
        }
        #expect(state.counterLimit == KeyState.counterEnd)
        state.close()
        #expect(throws: KeyStateError.exhausted(epoch: 5, path: path)) { try fixture.restart() }
        try fixture.plant(fixture.record(mark: KeyState.counterEnd - 1))
        #expect(try fixture.restart() == KeyState.counterEnd - 1..<KeyState.counterEnd)
        #expect(try fixture.restart(epoch: 6) == 0..<step)
    }

    @Test("the received counter is kept for its key and epoch, and never falls")
    func received() throws {
        let first = try fixture.open()
        try first.record(highestReceived: 70)
        try first.record(highestReceived: 60)
        first.close()
        let second = try fixture.open()
        #expect(second.highestReceivedBefore == 70)
        second.close()
        let third = try fixture.open(receive: fixture.otherReceive)
        #expect(third.highestReceivedBefore == nil)
        #expect(third.firstCounterFloor == 2 * step)
        try third.record(highestReceived: 0)
        third.close()
        let fourth = try fixture.open(receive: fixture.otherReceive)
        #expect(fourth.highestReceivedBefore == 0)
        try fourth.record(highestReceived: UInt64.max)
        fourth.close()
        #expect(try fixture.open(receive: fixture.otherReceive).highestReceivedBefore == UInt64.max)
        #expect(try fixture.open(epoch: 6, receive: fixture.otherReceive).highestReceivedBefore == nil)
    }

    @Test("a recorded counter that is no news isn't written")
    func idle() throws {
        let state = try fixture.open()
        try state.record(highestReceived: 70)
        let before = try fixture.scratch.bytes(of: fixture.file)
        try fixture.scratch.write([1], to: fixture.file)
        try state.record(highestReceived: 70)
        #expect(try fixture.scratch.bytes(of: fixture.file) == [1])
        try state.record(highestReceived: 71)
        #expect(try fixture.scratch.bytes(of: fixture.file).count == before.count)
    }

    @Test("a closed state gives nothing")
    func closed() throws {
        let state = try fixture.open()
        state.close()
        state.close()
        #expect(state.counterLimit == 0)
        #expect(throws: KeyStateError.closed) { try state.advance(past: 1) }
        #expect(throws: KeyStateError.closed) { try state.record(highestReceived: 1) }
        #expect(try fixture.restart() == step..<2 * step)
    }

    @Test("a key in use can't be opened again, by whatever epoch; other keys can")
    func lock() throws {
        let state = try fixture.open()
        let lock = "\(fixture.directory)/\(fixture.name).lock"
        let conflict = KeyStateError.inUse(key: String(fixture.name.prefix(8)), lock: lock, process: Int(getpid()))
        for epoch in [4, 5, 6] as [UInt32] {
            #expect(throws: conflict) { try fixture.open(epoch: epoch) }
        }
        #expect("\(conflict)".contains("another running tunnel (process \(getpid()))"))
        let other = try KeyState.open(
            directory: fixture.directory, sendKey: fixture.receive, receiveKey: fixture.send, epoch: 1)
        #expect(other.firstCounterFloor == 0)
        #expect(state.counterLimit == step)
        state.close()
        #expect(try fixture.restart() == step..<2 * step)
    }

    @Test("letting go of a state is enough to unlock it")
    func letGo() throws {
        do {
            let state = try fixture.open()
            #expect(state.firstCounterFloor == 0)
        }
        #expect(try fixture.open().firstCounterFloor == step)
    }

    @Test("a thousand restarts, orderly or not, hand no counter out twice")
    func restarts() throws {
        var random = SeededGenerator.fresh()
        var epoch: UInt32 = 1
        var free: UInt64 = 0
        for round in 0..<1000 {
            if Int.random(in: 0..<50, using: &random) == 0 {
                epoch += 1
                free = 0
            }
            let state = try fixture.reopen(epoch: epoch)
            #expect(state.firstCounterFloor >= free, "seed \(random.seed), round \(round)")
            free = state.firstCounterFloor
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                free = .random(in: free..<state.counterLimit, using: &random)
                try state.advance(past: free)
            }
            if Bool.random(using: &random) { try state.record(highestReceived: free) }
            // Whatever was usable may have been used.
            free = state.counterLimit
            if Bool.random(using: &random) { state.close() }
            if Bool.random(using: &random) {
                // What a crash in the middle of a write leaves behind.
                try fixture.scratch.write(Array("weft key".utf8), to: "state/\(fixture.name).new", mode: 0o644)
            }
        }
    }

    @Test("threads that advance and record at once")
    func threads() async throws {
        let state = try fixture.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 1...4 as ClosedRange<UInt64> {
                group.addTask {
                    for round in 1...25 as ClosedRange<UInt64> {
                        try state.record(highestReceived: worker * round)
                        try state.advance(past: round * KeyState.step)
                    }
                }
            }
            try await group.waitForAll()
        }
        let limit = state.counterLimit
        #expect(limit > 25 * step)
        state.close()
        let next = try fixture.open()
        #expect(next.firstCounterFloor == limit)
        #expect(next.highestReceivedBefore == 100)
    }
}
