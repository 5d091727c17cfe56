// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What the way to a network's peer takes, and what the peer does with it; changes under traffic.
final class PathTerms: Sendable {
    private let longest = Atomic(Int.max)
    private let ecn = Atomic<UInt8>(0)

    /// Bytes of the longest inner packet that goes whole.
    var longestPacket: Int {
        get { longest.load(ordering: .relaxed) }
        set { longest.store(newValue, ordering: .relaxed) }
    }

    /// The bits of inner traffic classes that outer headers get for ECN.
    var copiedECN: UInt8 { ecn.load(ordering: .relaxed) }

    var ecnMode: ECNMode {
        get { copiedECN == 0 ? .compatibility : .normal }
        set { ecn.store(newValue == .normal ? TrafficClass.ecn : 0, ordering: .relaxed) }
    }
}

extension Engine {
    /// Says how long an inner packet may be that goes whole to a network's peer; nil for what the kernel takes. Longer ones go in
    /// fragments, or are answered by ICMP.
    public func setLongestPacket(of network: NetworkID, to bytes: Int?) {
        terms(of: network)?.longestPacket = bytes ?? .max
    }

    /// Says how long a packet the overlay's device takes: no TCP connection through the tunnel begins with longer segments, whatever
    /// links there are behind its ends.
    public func setOverlayMTU(to bytes: Int) { overlayMTU.store(bytes, ordering: .relaxed) }

    /// Says what outer headers to a network's peer take of ECN: it begins with ``ECNMode/compatibility``. What comes from the peer
    /// is carried inwards in any case.
    public func setECNMode(of network: NetworkID, to mode: ECNMode) {
        terms(of: network)?.ecnMode = mode
    }

    private func terms(of network: NetworkID) -> PathTerms? {
        let snapshot = state.withLock { $0.snapshot }
        return snapshot.topology.slot(of: network).map { snapshot.networks[$0].terms }
    }
}
