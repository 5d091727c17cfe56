// SPDX-License-Identifier: Apache-2.0

extension Capabilities {
    /// The capability that says whether an end could call the other one after a restart, and the version that is spoken here.
    private static let callsNumber: UInt16 = 4
    private static let callsVersion: UInt8 = 1

    /// Says whether this end's configuration has an address of the other's.
    mutating func say(canCall: Bool) {
        self[Self.callsNumber] = Entry(version: Self.callsVersion, value: [canCall ? 1 : 0])
    }

    /// Whether the end could call us after a restart; nil where it doesn't say, or in a version that isn't spoken here.
    func canCall() throws(Fault) -> Bool? {
        guard let entry = self[Self.callsNumber], entry.version == Self.callsVersion else { return nil }
        switch entry.value {
        case [0]: return false
        case [1]: return true
        default: throw .malformed(Self.callsNumber)
        }
    }
}
