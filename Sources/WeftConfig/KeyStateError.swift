// SPDX-License-Identifier: Apache-2.0

/// Why a key's state can't be used, and what to do about it. The key must not be used either, then.
public enum KeyStateError: Error, Hashable, Sendable {
    /// Another running tunnel seals with the same transmit key. `key` is the first digits of its fingerprint, and
    /// `process` the other one's id, if it is known.
    case inUse(key: String, lock: String, process: Int?)
    /// The epoch is lower than the one that the transmit key was last used with.
    case lowerEpoch(asked: UInt32, used: UInt32, path: String)
    /// The state was written on another machine.
    case otherMachine(path: String)
    /// Another machine's state is taken over for a higher epoch only.
    case epochNotHigher(asked: UInt32, used: UInt32, path: String)
    /// All counters of this key and epoch may have been used.
    case exhausted(epoch: UInt32, path: String)
    /// The key has sealed all that one key may, with whichever epochs.
    case spent(path: String)
    /// The file isn't what was written.
    case damaged(path: String, what: String)
    /// The file or folder isn't one that only we can have written. `wrong` says what it is, `remedy` what to run.
    case notOurs(path: String, wrong: String, remedy: String)
    /// The kernel refused an operation; `reason` is its word for it.
    case refused(operation: String, path: String, reason: String)
    /// OpenSSL can't compute a SHA-256, so that a key has no name.
    case noDigest
    /// `close` was called before.
    case closed
}

extension KeyStateError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .inUse(let key, let lock, let process):
            let holder = process.map { " (process \($0))" } ?? ""
            return """
                SendKey with fingerprint \(key) is in use by another running tunnel\(holder), which holds \(lock): \
                stop that tunnel, or give this one keys of its own
                """
        case .lowerEpoch(let asked, let used, let path):
            return """
                Epoch \(asked) is lower than \(used), which this SendKey was used with before: \
                set Epoch to \(used) or more at both ends (state: \(path))
                """
        case .otherMachine(let path):
            return """
                \(path): this key state is another machine's, which may still use the key: give this machine keys of its own; \
                or, if the tunnel has moved here for good, raise Epoch at both ends and run `weft keys adopt FILE`
                """
        case .epochNotHigher(let asked, let used, let path):
            return """
                Epoch \(asked) was used on another machine, whose last one is \(used): \
                set Epoch to \(used == .max ? used : used + 1) or more at both ends first (state: \(path))
                """
        case .exhausted(let epoch, let path):
            let remedy = epoch == UInt32.max ? "set new keys at both ends" : "raise Epoch at both ends"
            return "this SendKey has sent all it may with Epoch \(epoch): \(remedy) (state: \(path))"
        case .spent(let path):
            return """
                this SendKey has sealed 2^36 packets, all that one key may, whatever its Epoch: \
                set new keys at both ends (state: \(path))
                """
        case .damaged(let path, let what):
            return """
                \(path): this key state is damaged (\(what)), so nobody knows which counters were used: \
                set new keys at both ends, then remove the file
                """
        case .notOurs(let path, let wrong, let remedy):
            return "\(path): \(wrong): if nobody else can have changed it, run \(remedy)"
        case .refused(let operation, let path, let reason):
            return """
                cannot \(operation) \(path): \(reason): manual keys need a StateDirectory \
                that exists or can be made, has space and belongs to the user who runs weft
                """
        case .noDigest:
            return "OpenSSL offers no SHA-256: enable its default provider in openssl.cnf"
        case .closed:
            return "this key's state has been closed"
        }
    }
}
