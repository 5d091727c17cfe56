// SPDX-License-Identifier: Apache-2.0

/// Where datagrams come from. An end of a queue: used by one thread at a time.
public protocol UnderlayReceiver: AnyObject, Sendable {
    /// As ``OverlayReceiver/receive(into:timeout:)``.
    func receive(into batch: inout FromUnderlay, timeout: Int32) throws(TransportError)
}
