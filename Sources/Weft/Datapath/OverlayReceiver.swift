// SPDX-License-Identifier: Apache-2.0

/// Where packets of the overlay come from. An end of a queue: used by one thread at a time.
public protocol OverlayReceiver: AnyObject, Sendable {
    /// Waits at most `timeout` milliseconds, then fills the batch with what is there. Packets are the caller's until the
    /// next call.
    func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError)
}
