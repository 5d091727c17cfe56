// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft

/// The memory of a manual key across restarts: which counters of the transmit key may have been used, and how far the
/// receive key's have come.
///
/// As long as it is open no other process, and no other `KeyState`, can open the same transmit key in the same folder.
/// Its methods may be called from any thread; those that write wait for the disk. A record says which machine wrote it, so that a
/// copied folder is found. One that was restored from a backup can't be told from the latest, so never restore one.
///
/// The received counter is kept for the receive key that was used last with the transmit key: change both keys
/// together, or raise the epoch.
public final class KeyState: Sendable {
    /// Counters that one write makes usable: 2^32.
    public static let step: UInt64 = 1 << 32
    /// No counter from here on is ever usable: 2^60.
    public static let counterEnd: UInt64 = KeyStateRecord.counterEnd
    /// Packets that one key may seal, whatever its epochs: 2^36.
    public static let mostSealed: UInt64 = SealingLimits.packets
    /// So many packets more than were written down make a write of their own worth while.
    static let sealedStep: UInt64 = 1 << 20

    /// The epoch that it was opened with.
    public let epoch: UInt32
    /// Counters from here up to `counterLimit` were never used; 0 if none was, though an SA's first counter is 1.
    public let firstCounterFloor: UInt64
    /// The highest counter that was recorded for the receive key in this epoch before; nil if there is none.
    /// The replay window starts there.
    public let highestReceivedBefore: UInt64?
    /// Packets that the transmit key sealed before, with any epoch. What the first release sealed isn't known, nor up to 2^20 packets
    /// before each crash.
    public let sealedBefore: UInt64

    private struct Contents: ~Copyable {
        /// Nil once closed.
        var folder: KeyStateFolder?
        /// What the state file says.
        var record: KeyStateRecord

        /// Lets `change` edit the record, and writes it if it did.
        mutating func update(
            _ change: (inout KeyStateRecord, _ path: String) throws(KeyStateError) -> Void
        ) throws(KeyStateError) {
            switch folder {
            case .none:
                throw .closed
            case .some(let folder):
                var changed = record
                try change(&changed, folder.statePath)
                guard changed != record else { return }
                try folder.write(changed)
                record = changed
            }
        }
    }

    private let state: Mutex<Contents>

    /// Opens a transmit key's state, or begins one, and makes its next 2^32 counters usable.
    ///
    /// - Parameters:
    ///   - directory: the state folder, made with mode 0700 if only its last part is missing.
    ///   - epoch: 1...4294967295. The one used last goes on above its mark; a higher one starts anew at 0.
    ///   - owner: the user that the process goes on as, if root opens the state: folder and files become his, without a change to
    ///     what they say, and are as good as root's own. Nil keeps them the caller's.
    ///   - machine: this machine; nil where it has no id. A state that says nothing of a machine becomes this one's.
    /// - Throws: if another tunnel uses the key, the state is another machine's, the epoch is lower than the last one, the counters
    ///   are used up, or the state can't be read, believed or written. In each case nothing may be sealed with the key.
    public static func open(
        directory: String, sendKey: ManualKey, receiveKey: ManualKey, epoch: UInt32, owner: FileOwner? = nil,
        machine: MachineID? = .own()
    ) throws(KeyStateError) -> KeyState {
        let fresh = try fresh(epoch, receiveKey, machine)
        let folder = try folder(directory, sendKey, owner)
        var record = try folder.read() ?? fresh
        guard !record.isElsewhere(than: fresh.machine) else { throw .otherMachine(path: folder.statePath) }
        record.machine = fresh.machine
        guard epoch >= record.epoch else {
            throw .lowerEpoch(asked: epoch, used: record.epoch, path: folder.statePath)
        }
        if epoch > record.epoch {
            let sealed = record.sealed
            record = fresh
            record.sealed = sealed
        } else if record.receiveKey != fresh.receiveKey {
            record.receiveKey = fresh.receiveKey
            record.received = nil
        }
        return try KeyState(folder: folder, continuing: record)
    }

    /// Takes over the state of another machine, which must not use the key any more, for a higher epoch: whatever counters
    /// the other machine has used, none is used again.
    ///
    /// - Returns: false if there is nothing to take over, since there is no state or it is this machine's.
    /// - Throws: if the epoch isn't above the last one, or as ``open(directory:sendKey:receiveKey:epoch:owner:machine:)``.
    public static func adopt(
        directory: String, sendKey: ManualKey, receiveKey: ManualKey, epoch: UInt32, owner: FileOwner? = nil,
        machine: MachineID? = .own()
    ) throws(KeyStateError) -> Bool {
        let fresh = try fresh(epoch, receiveKey, machine)
        let folder = try folder(directory, sendKey, owner)
        guard let record = try folder.read(), record.isElsewhere(than: fresh.machine) else { return false }
        guard epoch > record.epoch else {
            throw .epochNotHigher(asked: epoch, used: record.epoch, path: folder.statePath)
        }
        var taken = fresh
        taken.sealed = record.sealed
        try folder.write(taken)
        return true
    }

    private static func folder(
        _ directory: String, _ sendKey: ManualKey, _ owner: FileOwner?
    ) throws(KeyStateError) -> KeyStateFolder {
        guard let name = KeyFingerprint(sendKey, role: .send) else { throw .noDigest }
        return try KeyStateFolder(path: directory, key: name, owner: owner)
    }

    /// The record of a key that was never used.
    private static func fresh(
        _ epoch: UInt32, _ receiveKey: ManualKey, _ machine: MachineID?
    ) throws(KeyStateError) -> KeyStateRecord {
        guard let name = KeyFingerprint(receiveKey, role: .receive) else { throw .noDigest }
        return KeyStateRecord(
            epoch: epoch, mark: 0, receiveKey: name.description, received: nil, machine: .init(machine))
    }

    private init(folder: consuming KeyStateFolder, continuing record: KeyStateRecord) throws(KeyStateError) {
        guard record.sealed < Self.mostSealed else { throw .spent(path: folder.statePath) }
        guard record.mark < Self.counterEnd else { throw .exhausted(epoch: record.epoch, path: folder.statePath) }
        epoch = record.epoch
        firstCounterFloor = record.mark
        highestReceivedBefore = record.received
        sealedBefore = record.sealed
        var marked = record
        marked.mark = min(record.mark + Self.step, Self.counterEnd)
        try folder.write(marked)
        state = Mutex(Contents(folder: folder, record: marked))
    }

    /// Counters below it, from `firstCounterFloor` on, may be used; at most 2^60, and 0 once closed.
    public var counterLimit: UInt64 {
        state.withLock { $0.folder == nil ? 0 : $0.record.mark }
    }

    /// Makes more counters usable as `counter` comes near the limit: within half a step of it, or beyond.
    ///
    /// Calling it earlier costs nothing and changes nothing, so that it may be called with every look at the counter.
    ///
    /// - Parameter counter: the highest counter that was handed out.
    /// - Returns: `counterLimit`, which is on the disk.
    /// - Throws: if the mark can't be written; the limit stays what it was. `exhausted` if `counter` is the last one.
    @discardableResult
    public func advance(past counter: UInt64) throws(KeyStateError) -> UInt64 {
        try state.withLock { contents throws(KeyStateError) in
            try contents.update { record, path throws(KeyStateError) in
                guard counter < Self.counterEnd - 1 else { throw .exhausted(epoch: record.epoch, path: path) }
                guard counter >= record.mark || record.mark - counter <= Self.step / 2 else { return }
                record.mark = min(max(record.mark, counter + 1) + Self.step, Self.counterEnd)
            }
            return contents.record.mark
        }
    }

    /// Keeps the highest counter that an authenticated packet of the receive key had, and how many packets the transmit key has
    /// sealed since it was opened. Lower ones than before change nothing.
    ///
    /// Call it every second and before `close`: a restart can admit again what came after the last call.
    ///
    /// - Parameter counter: nil if none came yet.
    /// - Throws: if it can't be written; the next call tries again. `spent` once it is known that the transmit key has sealed
    ///   all it may.
    public func record(highestReceived counter: UInt64?, sealed count: UInt64 = 0) throws(KeyStateError) {
        try state.withLock { contents throws(KeyStateError) in
            try contents.update { record, path throws(KeyStateError) in
                guard record.sealed < Self.mostSealed else { throw .spent(path: path) }
                let sealed = sealedBefore + min(count, Self.mostSealed - sealedBefore)
                let received = [counter, record.received].compactMap(\.self).max()
                // What is sealed isn't worth a write by itself each time.
                guard
                    received != record.received || sealed >= record.sealed + Self.sealedStep
                        || sealed == Self.mostSealed
                else { return }
                record.received = received
                record.sealed = max(record.sealed, sealed)
            }
        }
    }

    /// Lets go of the key. The counters that were usable and not used are lost; nothing is usable any more.
    public func close() {
        state.withLock { $0.folder = nil }
    }
}
