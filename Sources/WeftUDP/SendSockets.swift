// SPDX-License-Identifier: Apache-2.0
import Weft

/// The sockets that datagrams leave from.
///
/// All leave from the common ones while the kernel takes them. What waits for a slow line fills a socket's buffer, and would be in
/// the way of all others: then each peer's leave from a socket of its own, or one of few that it shares.
struct SendSockets: Sendable {
    /// By flow; at least one.
    let common: [UDPSocket]
    /// By peer.
    let separate: [UDPSocket]

    enum Place: Hashable, BitwiseCopyable {
        case common(Int)
        case separate(Int)
    }

    /// Whether peers can be parted.
    var canPart: Bool { !separate.isEmpty }

    @inline(__always)
    func place(of run: ToUnderlay.Run, isSeparate: Bool) -> Place {
        isSeparate && canPart ? .separate(Int(run.network.rawValue) % separate.count) : .common(run.source)
    }

    subscript(place: Place) -> UDPSocket {
        switch place {
        case .common(let index): common[index]
        case .separate(let index): separate[index]
        }
    }
}
