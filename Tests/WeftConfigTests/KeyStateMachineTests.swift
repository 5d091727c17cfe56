// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import WeftConfig

@Suite("Key states and machines")
struct KeyStateMachineTests {
    private let fixture: KeyStateFixture
    private let other = MachineID(text: Array("fedcba9876543210fedcba9876543210".utf8))

    init() throws { fixture = try KeyStateFixture() }

    private func outcome(epoch: UInt32 = 5, on machine: MachineID?) throws -> KeyStateError? {
        for _ in 0..<200 {
            do throws(KeyStateError) {
                try fixture.open(epoch: epoch, on: machine).close()
                return nil
            } catch {
                // A process that another test starts holds our locks for a moment.
                guard case .inUse = error else { return error }
                usleep(10_000)
            }
        }
        return nil
    }

    private func adopt(epoch: UInt32, on machine: MachineID?) throws(KeyStateError) -> Bool {
        try KeyState.adopt(
            directory: fixture.directory, sendKey: fixture.send, receiveKey: fixture.receive, epoch: epoch,
            machine: machine)
    }

    private var path: String { "\(fixture.directory)/\(fixture.name).state" }

    @Test("a copied folder is found, whatever its epoch, and the machine's own goes on")
    func copied() throws {
        _ = try fixture.restart()
        #expect(try outcome(on: other) == .otherMachine(path: path))
        #expect(try outcome(epoch: 9, on: other) == .otherMachine(path: path))
        // One that has no id can't say that the state is its own.
        #expect(try outcome(on: nil) == .otherMachine(path: path))
        #expect(try fixture.restart().lowerBound == KeyState.step)
        #expect(KeyStateError.otherMachine(path: path).description.contains("weft keys adopt"))
    }

    @Test(
        "the first release's state becomes the machine's that opens it first, its counters kept",
        arguments: [true, false])
    func firstRelease(_ isNoted: Bool) throws {
        _ = try fixture.restart()
        var record = fixture.record(mark: 7 * KeyState.step)
        record.received = 4711
        record.machine = isNoted ? .none : .unnoted
        try fixture.plant(record)
        let state = try fixture.reopen(epoch: 5)
        #expect(state.firstCounterFloor == 7 * KeyState.step)
        #expect(state.highestReceivedBefore == 4711)
        state.close()
        #expect(try outcome(on: other) == .otherMachine(path: path))
    }

    @Test("the first release's form is the one that it wrote")
    func firstForm() throws {
        var record = fixture.record(mark: 1)
        record.machine = .unnoted
        let text = String(decoding: try #require(record.encoded(name: "a.state")), as: UTF8.self)
        let lines = text.split(separator: "\n")
        #expect(
            lines.count == 6 && lines[0] == "weft key state 1" && lines[4] == "received none"
                && lines[5].hasPrefix("checksum "))
    }

    @Test("a moved state is taken over with a higher epoch only, and nothing else is")
    func adopted() throws {
        #expect(try adopt(epoch: 5, on: other) == false)
        _ = try fixture.restart()
        #expect(try adopt(epoch: 9, on: KeyStateFixture.machine) == false)
        for epoch in [4, 5] as [UInt32] {
            #expect(throws: KeyStateError.epochNotHigher(asked: epoch, used: 5, path: path)) {
                try adopt(epoch: epoch, on: other)
            }
        }
        #expect(try adopt(epoch: 6, on: other))
        #expect(try outcome(on: KeyStateFixture.machine) == .otherMachine(path: path))
        #expect(try outcome(epoch: 5, on: other) == .lowerEpoch(asked: 5, used: 6, path: path))
        let state = try fixture.open(epoch: 6, on: other)
        #expect(state.firstCounterFloor == 0 && state.highestReceivedBefore == nil)
        state.close()
    }

    @Test(
        "what is no machine's id",
        arguments: [
            "", "\n", "uninitialized\n", "0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF\n",
            "00000000000000000000000000000000\n",
            "0123456789abcdef0123456789abcdef\n\n", "0123456789abcdef0123456789abcdef0\n",
        ])
    func noID(_ text: String) {
        #expect(MachineID(text: Array(text.utf8)) == nil)
    }

    @Test("the id itself stands nowhere in the state")
    func digest() throws {
        _ = try fixture.restart()
        let text = String(decoding: try fixture.scratch.bytes(of: fixture.file), as: UTF8.self)
        let machine = try #require(KeyStateFixture.machine)
        #expect(!text.contains("0123456789abcdef") && text.contains("\nmachine \(machine)\n"))
    }
}
