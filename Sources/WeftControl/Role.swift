// SPDX-License-Identifier: Apache-2.0

/// Which end of a session this is; bit 30 of the SPIs that it gives out.
public enum Role: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// Dials and writes first.
    case initiator = 0
    /// Listens and answers.
    case responder = 1

    /// Elects the local end's role: the end whose SubjectPublicKeyInfo sorts lower is the initiator.
    ///
    /// Throws when both are equal.
    public init(local: PublicKey, peer: PublicKey) throws(RoleElectionError) {
        guard local != peer else { throw RoleElectionError() }
        let localIsLower = local.subjectPublicKeyInfo.lexicographicallyPrecedes(peer.subjectPublicKeyInfo)
        self = localIsLower ? .initiator : .responder
    }

    /// The other end's role.
    public var other: Role { self == .initiator ? .responder : .initiator }

    public var description: String { self == .initiator ? "initiator" : "responder" }
}
