// SPDX-License-Identifier: Apache-2.0

/// How AF_XDP sockets are bound, and programs attached, where the caller has a choice.
public struct XDPOptions: Hashable, Sendable {
    /// Where in a device's receive path the program runs.
    public enum Attachment: String, Hashable, Sendable, CaseIterable {
        /// In the device's driver (native mode).
        case driver
        /// In the kernel's generic path, for any device.
        case generic
    }

    /// Whether the device reads and writes the UMEM itself.
    public enum Copying: String, Hashable, Sendable, CaseIterable {
        case zeroCopy = "zero-copy"
        case copy
    }

    /// Nil: driver mode, else generic.
    public var attachment: Attachment?
    /// On the underlay; the overlay's veth pair always copies. Nil: zero-copy, else copy.
    public var copying: Copying?
    /// Whether the kernel may sleep until it is woken, rather than be called for each batch (XDP_USE_NEED_WAKEUP).
    public var needsWakeup = true
    /// Microseconds for which a thread without work polls its devices; nil for interrupts only (SO_BUSY_POLL).
    public var busyPoll: UInt32?
    /// Entries in each ring, a power of two.
    public var ringSize = 1024

    public init() {}
}
