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
        /// The tunnel's second port.
        case second
    }

    /// Whether peers can be parted.
    var canPart: Bool { !separate.isEmpty }

    @inline(__always)
    func place(of run: ToUnderlay.Run, isSeparate: Bool, second: SecondPort.Use?) -> Place {
        if let second, second.places.contains(run.destination) { return .second }
        return place(of: run.network, source: run.source, isSeparate: isSeparate, second: nil)
    }

    /// - Parameter second: the second port, if it leaves from that.
    @inline(__always)
    func place(of network: NetworkID, source: Int = 0, isSeparate: Bool, second: SecondPort.Use?) -> Place {
        if second != nil { return .second }
        return isSeparate && canPart ? .separate(Int(network.rawValue) % separate.count) : .common(source)
    }

    func socket(_ place: Place, second: SecondPort.Use?) -> UDPSocket {
        switch place {
        case .common(let index): common[index]
        case .separate(let index): separate[index]
        case .second: second?.socket ?? common[0]
        }
    }
}

extension UDPSocket {
    /// How many sockets peers are parted over once one is slow: more peers share them.
    private static let partedPeers = 32

    /// The sockets of a port that peers are parted over once one is slow; what comes to the port goes to the others, which have been
    /// steered.
    /// - Parameters:
    ///   - address: the one of our addresses that they work with; nil for all.
    ///   - mark: SO_MARK, as the port's.
    public static func separate(
        of socket: UDPSocket, address: IPAddress?, mark: UInt32, offloads: Offloads = []
    ) throws(DatapathError) -> [UDPSocket] {
        var sockets: [UDPSocket] = []
        for _ in 0..<partedPeers {
            sockets.append(
                try UDPSocket(port: socket.port, address: address, mark: mark, role: .sendsBeside, offloads: offloads))
        }
        return sockets
    }
}
