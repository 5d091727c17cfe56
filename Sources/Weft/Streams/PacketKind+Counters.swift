// SPDX-License-Identifier: Apache-2.0

extension PacketKind {
    /// What counts a datagram that the kind's stream took; nil for data, which the engine counts.
    var counter: Counter? {
        switch self {
        case .data: nil
        case .control: .rxControl
        case .stun: .rxSTUN
        case .disco: .rxDisco
        case .wireGuard: .rxWireGuard
        case .unknown: .rxUnknown
        }
    }

    /// What counts one that nobody took.
    var dropReason: DropReason {
        switch self {
        // The engine has a reason for each.
        case .data, .unknown: .unknownNotTaken
        case .control: .controlNotTaken
        case .stun: .stunNotTaken
        case .disco: .discoNotTaken
        case .wireGuard: .wireGuardNotTaken
        }
    }
}

extension Lane {
    /// Counts a part of another kind than data: how many its stream took, and the others as dropped.
    func countHandedOver(_ kind: PacketKind, _ became: HandedOver, of datagrams: Int) {
        if became.taken > 0, let counter = kind.counter {
            totals.add(UInt64(became.taken), to: counter, lane: index)
        }
        if became.strangers > 0 { count(.controlNotTagged, nil, packets: became.strangers) }
        if became.overLimit > 0 { count(.controlOverLimit, nil, packets: became.overLimit) }
        let left = datagrams - became.taken - became.strangers - became.overLimit
        if left > 0 { count(kind.dropReason, nil, packets: left) }
    }
}

extension SendFailure {
    var reason: DropReason { self == .tooLong ? .tooLongForUnderlay : .underlayRefused }
}
