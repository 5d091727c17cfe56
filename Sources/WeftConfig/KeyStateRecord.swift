// SPDX-License-Identifier: Apache-2.0
import Weft

/// What is kept about a transmit key, and its form in the state file:
/// ```
/// weft key state 2
/// epoch 1
/// mark 4294967296
/// receive-key <64 hexadecimal digits>
/// received 4711
/// machine <64 hexadecimal digits>
/// sealed 815
/// checksum <64 hexadecimal digits>
/// ```
/// The first release's form has number 1, and says nothing of a machine or of what was sealed. It is read, and written anew in this one.
struct KeyStateRecord: Hashable {
    /// Which machine wrote it.
    enum Machine: Hashable {
        /// The first release, which didn't say.
        case unnoted
        /// One without an id.
        case none
        /// One with this id's digest.
        case known(String)

        init(_ id: MachineID?) { self = id.map { .known($0.description) } ?? .none }
    }

    /// Counters stop here: 2^60.
    static let counterEnd: UInt64 = SealingLimits.counter
    /// No record is larger, in bytes.
    static let maximumSize = 1024

    var epoch: UInt32
    /// All counters below it may have been used in this epoch; at most `counterEnd`.
    var mark: UInt64
    /// The fingerprint of the key that `received` is about.
    var receiveKey: String
    /// The highest counter received, or nil if none was.
    var received: UInt64?
    var machine: Machine
    /// Packets that the transmit key has sealed, in whichever epoch, as far as was written down.
    var sealed: UInt64 = 0

    /// The file's bytes; nil if OpenSSL has no SHA-256.
    ///
    /// - Parameter name: the file's, which goes into the checksum so that one key's state can't pass for another's.
    func encoded(name: String) -> [UInt8]? {
        let (form, more) =
            switch machine {
            case .unnoted: (1, "")
            case .none: (2, "machine none\nsealed \(sealed)\n")
            case .known(let digest): (2, "machine \(digest)\nsealed \(sealed)\n")
            }
        let content = """
            weft key state \(form)
            epoch \(epoch)
            mark \(mark)
            receive-key \(receiveKey)
            received \(received.map { String($0) } ?? "none")
            \(more)
            """
        let summed = Array("weft key state checksum 1\n\(name)\n\(content)".utf8)
        // `bytes` is unsafe for types with padding, and a UInt8 has none.
        guard let digest = SHA256Digest(of: unsafe summed.span.bytes) else { return nil }
        return Array("\(content)checksum \(digest)\n".utf8)
    }

    /// Reads a state file. Only the very bytes that `encoded` gives are taken, so that each meaning has one form.
    init(_ bytes: [UInt8], name: String) throws(Flaw) {
        guard bytes.count <= Self.maximumSize else { throw Flaw(what: "it is too large") }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard let first = lines.first, first == "weft key state 1" || first == "weft key state 2" else {
            throw Flaw(what: "line 1: expected weft key state 2")
        }
        func value(_ index: Int, _ name: String) throws(Flaw) -> String {
            guard index < lines.count, lines[index].hasPrefix(name + " ") else {
                throw Flaw(what: "line \(index + 1): expected \(name)")
            }
            return String(lines[index].dropFirst(name.count + 1))
        }
        guard let epoch = UInt32(try value(1, "epoch")), epoch > 0 else { throw Flaw(what: "line 2: bad epoch") }
        guard let mark = UInt64(try value(2, "mark")), mark <= Self.counterEnd else {
            throw Flaw(what: "line 3: bad mark")
        }
        let received = try value(4, "received")
        self.epoch = epoch
        self.mark = mark
        receiveKey = try value(3, "receive-key")
        self.received = UInt64(received)
        if first == "weft key state 1" {
            machine = .unnoted
        } else {
            let text = try value(5, "machine")
            machine = text == "none" ? .none : .known(text)
            guard let sealed = UInt64(try value(6, "sealed")) else { throw Flaw(what: "line 7: bad count") }
            self.sealed = sealed
        }
        guard self.received != nil || received == "none" else { throw Flaw(what: "line 5: bad counter") }
        guard encoded(name: name) == bytes else { throw Flaw(what: "its checksum or form is wrong") }
    }

    init(
        epoch: UInt32, mark: UInt64, receiveKey: String, received: UInt64?, machine: Machine, sealed: UInt64 = 0
    ) {
        self.epoch = epoch
        self.mark = mark
        self.receiveKey = receiveKey
        self.received = received
        self.machine = machine
        self.sealed = sealed
    }

    /// Whether it is known to be another machine's. That of one without an id isn't; and where this one has no id, each id is another's.
    func isElsewhere(than here: Machine) -> Bool {
        if case .known = machine { return machine != here }
        return false
    }

    /// What makes a file's bytes no record.
    struct Flaw: Error {
        let what: String
    }
}
