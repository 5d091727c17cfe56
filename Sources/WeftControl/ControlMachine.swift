// SPDX-License-Identifier: Apache-2.0
import Weft

/// One end's control, without its I/O: datagrams go in and come out, and the time is passed in. One thread at a time
/// uses it.
public protocol ControlMachine: AnyObject {
    /// Takes a datagram, which anyone may have sent.
    func receive(_ datagram: Span<UInt8>, from source: AddressPair, now: Instant)

    /// When ``advance(to:)`` has something to do.
    var nextDeadline: Instant { get }

    /// Does what is due. Call it after datagrams were received, too.
    func advance(to now: Instant)

    /// Hands each datagram that is to be sent now to `send`, which must not keep it.
    func flush(now: Instant, _ send: (Span<UInt8>, AddressPair) -> Void)

    /// Tells all other ends that we go; a last ``flush(now:_:)`` sends that.
    func close(at now: Instant)
}

extension ControlMachine {
    /// Takes a datagram where the kernel chooses the address of ours that answers leave from.
    public func receive(_ datagram: Span<UInt8>, from source: Endpoint, now: Instant) {
        receive(datagram, from: AddressPair(source), now: now)
    }
}

extension ControlPlane: ControlMachine {}
