// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

/// A QUIC connection id (RFC 9000, section 5.1).
///
/// Those that we give out begin with one byte, so that a datagram on a shared port is told for QUIC's even when its
/// sender clears the fixed bit (RFC 9287), and end with a tag, by which the data process knows them.
struct ConnectionID: Hashable {
    static let firstByte = Identification.connectionIDPrefix
    /// Bytes in an id of ours.
    static let byteCount = ConnectionTags.idByteCount

    let bytes: [UInt8]

    init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    init(_ id: ngtcp2_cid) {
        bytes = unsafe withUnsafeBytes(of: id.data) { unsafe Array($0.prefix(id.datalen)) }
    }

    /// Whether it is one that we gave out.
    func isOurs(by tags: ConnectionTags) -> Bool { unsafe tags.isOwn(bytes.span.bytes) }

    /// Whether it is one by which a caller shows that it knows our public key.
    func isCall(by tags: ConnectionTags) -> Bool { unsafe tags.isCall(bytes.span.bytes) }

    /// ngtcp2's form. Longer ids than QUIC allows are cut.
    var native: ngtcp2_cid {
        var id = ngtcp2_cid()
        id.datalen = min(bytes.count, Int(NGTCP2_MAX_CIDLEN))
        unsafe withUnsafeMutableBytes(of: &id.data) { unsafe $0.copyBytes(from: bytes.prefix(id.datalen)) }
        return id
    }
}
