// SPDX-License-Identifier: Apache-2.0

/// Where sealed packets go. An end of a queue: used by one thread at a time.
public protocol UnderlaySender: AnyObject, Sendable {
    /// Sends runs of datagrams in order; waits while the transport has no room. Calls `failed` with the index of each
    /// run that was not taken whole, and how many of its datagrams were not.
    func send(_ batch: borrowing ToUnderlay, failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void)

    /// How many source ports flows are spread over: a run's `source` is below it.
    var sourcePorts: Int { get }

    /// The MTU that the kernel knows for the path to an endpoint, in bytes of the IP packet; nil where it doesn't.
    func pathMTU(to endpoint: Endpoint) -> Int?
}

extension UnderlaySender {
    public var sourcePorts: Int { 1 }
}
