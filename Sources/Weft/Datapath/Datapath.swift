// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Moves packets between an overlay and an underlay through an engine, until it is closed.
public protocol Datapath: AnyObject, Sendable {
    /// Runs until ``close()``, on the calling thread and on threads of its own; returns once all of them have ended and
    /// what the data path made is gone. A clean stop is no error.
    ///
    /// It runs only once.
    func run() throws(DatapathError)

    /// Makes ``run()`` return within a second, whatever it is blocked in. From any thread, any number of times; also
    /// before ``run()``, which then returns at once.
    func close()
}

/// Why a data path could not be made, or ended.
public enum DatapathError: Error, Sendable, CustomStringConvertible {
    case alreadyRun
    case engine(EngineError)
    /// A transport failed so often in a row that going on makes no sense.
    case transport(TransportError)
    /// Setting up failed; the text says what to do.
    case setup(String)

    public var description: String {
        switch self {
        case .alreadyRun: "a data path runs only once"
        case .engine(let error): error.description
        case .transport(let error): error.description
        case .setup(let text): text
        }
    }
}

/// A system call that failed.
public struct TransportError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, such as `read from weft0`.
    public let operation: String
    /// The `errno` that it failed with.
    public let code: Int32

    public init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    public var description: String { "cannot \(operation): \(SystemCall.message(code))" }
}

/// Why a transport did not take a packet.
public enum SendFailure: Hashable, Sendable {
    /// It exceeds the path's MTU.
    case tooLong
    /// Anything else, with its `errno`.
    case refused(Int32)
}

// The four ends of a queue. Each is used by one thread at a time.

/// Where packets of the overlay come from.
public protocol OverlayReceiver: AnyObject, Sendable {
    /// Waits at most `timeout` milliseconds, then fills the batch with what is there. Packets are the caller's until the
    /// next call.
    func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError)
}

/// Where opened packets go.
public protocol OverlaySender: AnyObject, Sendable {
    /// Writes groups of packets that lie in `arena`, in order, each as one superpacket where the transport can; calls
    /// `failed` with the index of each group that was not taken whole, and how many of its packets were not.
    func send(
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena,
        failed: (_ group: Int, _ packets: Int, SendFailure) -> Void)

    /// Writes one packet of our own making, such as an ICMP message.
    func send(_ packet: RawSpan) -> SendFailure?
}

/// Where datagrams come from.
public protocol UnderlayReceiver: AnyObject, Sendable {
    /// As ``OverlayReceiver/receive(into:timeout:)``.
    func receive(into batch: inout FromUnderlay, timeout: Int32) throws(TransportError)
}

/// Where sealed packets go.
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
