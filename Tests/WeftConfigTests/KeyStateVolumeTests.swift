// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import WeftConfig

@Suite("What a manual key may seal")
struct KeyStateVolumeTests {
    private let fixture: KeyStateFixture
    private var path: String { "\(fixture.directory)/\(fixture.name).state" }

    init() throws { fixture = try KeyStateFixture() }

    private func sealedBefore(epoch: UInt32 = 5) throws -> UInt64 {
        let state = try fixture.reopen(epoch: epoch)
        defer { state.close() }
        return state.sealedBefore
    }

    @Test("it is added up over lives and epochs")
    func sum() throws {
        let first = try fixture.open()
        #expect(first.sealedBefore == 0)
        try first.record(highestReceived: 1, sealed: 100)
        try first.record(highestReceived: 2, sealed: 90)
        // Alone it is written in larger steps.
        try first.record(highestReceived: nil, sealed: 200)
        first.close()
        #expect(try sealedBefore() == 100)
        let second = try fixture.reopen(epoch: 5)
        try second.record(highestReceived: nil, sealed: KeyState.sealedStep)
        second.close()
        #expect(try sealedBefore(epoch: 6) == 100 + KeyState.sealedStep)
        #expect(try sealedBefore(epoch: 9) == 100 + KeyState.sealedStep)
    }

    @Test("a key that has sealed all it may is refused for good, with any epoch")
    func spent() throws {
        let state = try fixture.open()
        try state.record(highestReceived: nil, sealed: KeyState.mostSealed - 1)
        state.close()
        let last = try fixture.reopen(epoch: 6)
        #expect(last.sealedBefore == KeyState.mostSealed - 1)
        try last.record(highestReceived: nil, sealed: .max)
        #expect(throws: KeyStateError.spent(path: path)) { try last.record(highestReceived: 8, sealed: 1) }
        last.close()
        for epoch in [6, 7, .max] as [UInt32] {
            #expect(throws: KeyStateError.spent(path: path)) { try fixture.reopen(epoch: epoch) }
        }
        #expect(KeyStateError.spent(path: path).description.contains("set new keys at both ends"))
    }

    @Test("it moves with the state to another machine")
    func moved() throws {
        let state = try fixture.open()
        try state.record(highestReceived: 1, sealed: 4711)
        state.close()
        let other = MachineID(text: Array("fedcba9876543210fedcba9876543210".utf8))
        #expect(
            try KeyState.adopt(
                directory: fixture.directory, sendKey: fixture.send, receiveKey: fixture.receive, epoch: 6,
                machine: other))
        let moved = try fixture.open(epoch: 6, on: other)
        #expect(moved.sealedBefore == 4711)
        moved.close()
    }

    @Test("of the first release's states nothing is known")
    func firstRelease() throws {
        _ = try fixture.restart()
        var record = fixture.record(mark: 7 * KeyState.step)
        record.machine = .unnoted
        try fixture.plant(record)
        #expect(try sealedBefore() == 0)
    }
}
