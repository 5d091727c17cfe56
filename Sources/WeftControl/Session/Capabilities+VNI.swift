// SPDX-License-Identifier: Apache-2.0
import Weft

extension Capabilities {
    /// The capability that names the VNI which an end receives with, and the version that is spoken here.
    private static let vniNumber: UInt16 = 1
    private static let vniVersion: UInt8 = 1

    /// Names the VNI that this end receives with in the session: 1 to 2^24 - 1.
    mutating func name(receiveVNI vni: UInt32) {
        self[Self.vniNumber] = Entry(version: Self.vniVersion, value: bigEndian(vni))
    }

    /// The VNI that an end receives with; nil where it names none, or in a version that isn't spoken here.
    func receiveVNI() throws(Fault) -> UInt32? {
        guard let entry = self[Self.vniNumber], entry.version == Self.vniVersion else { return nil }
        guard entry.value.count == 4 else { throw .malformed(Self.vniNumber) }
        let vni = entry.value.span.bigEndian(UInt32.self, at: 0)
        guard vni != 0, NetworkID.vnis.contains(vni) else { throw .malformed(Self.vniNumber) }
        return vni
    }
}
