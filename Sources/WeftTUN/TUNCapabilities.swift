// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Weft

/// The offloads of a TUN device: what the kernel may leave to us, and we to it.
public struct TUNCapabilities: Hashable, Sendable, CustomStringConvertible {
    /// A virtio-net header stands in front of each packet; without it there is no other offload.
    public var header = false
    /// Checksums are finished by whoever needs them.
    public var checksum = false
    /// TCP superpackets over IPv4 and IPv6.
    public var tso4 = false
    public var tso6 = false
    /// Those of flows with explicit congestion notification as well.
    public var ecn = false
    /// UDP superpackets; one family comes only with the other.
    public var uso = false

    /// None: a plain device.
    public init() {}

    public static let all = TUNCapabilities(.all)

    /// What of them a choice of offloads allows; the header always, as it costs nothing.
    public init(_ offloads: Offloads) {
        header = true
        checksum = offloads.contains(.checksum)
        (tso4, tso6, ecn) = (offloads.contains(.tso), offloads.contains(.tso), offloads.contains(.tso))
        uso = offloads.contains(.uso)
    }

    /// Asks for one offload after the other, each on top of those before it, and keeps what is accepted.
    /// - Parameter accepts: tries TUN_F_ flags; it is left with the flags that were agreed.
    static func negotiate(_ wanted: TUNCapabilities, _ accepts: (UInt32) -> Bool) -> TUNCapabilities {
        var agreed = TUNCapabilities()
        agreed.header = true
        var flags: UInt32 = 0
        func ask(_ isWanted: Bool, _ more: Int32) -> Bool {
            guard isWanted, accepts(flags | UInt32(more)) else { return false }
            flags |= UInt32(more)
            return true
        }
        // Every other offload needs the checksum's.
        agreed.checksum = ask(wanted.checksum, TUN_F_CSUM)
        guard agreed.checksum else { return agreed }
        agreed.tso4 = ask(wanted.tso4, TUN_F_TSO4)
        agreed.tso6 = ask(wanted.tso6, TUN_F_TSO6)
        agreed.ecn = ask(wanted.ecn && (agreed.tso4 || agreed.tso6), TUN_F_TSO_ECN)
        agreed.uso = ask(wanted.uso, TUN_F_USO4 | TUN_F_USO6)
        _ = accepts(flags)
        return agreed
    }

    /// Whether a superpacket of this kind can be written.
    func takes(_ isTCP: Bool, isV4: Bool) -> Bool { isTCP ? (isV4 ? tso4 : tso6) : uso }

    public var description: String {
        let names = [
            (checksum, "checksum"), (tso4, "tso4"), (tso6, "tso6"), (ecn, "ecn"), (uso, "uso"),
        ].filter(\.0).map(\.1)
        return names.isEmpty ? "no offloads" : names.joined(separator: " ")
    }
}
