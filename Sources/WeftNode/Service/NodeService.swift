// SPDX-License-Identifier: Apache-2.0
import Weft

/// A part of a node that runs on a thread of its own for as long as the node lives.
///
/// A node's parts stand in one list: they are started in its order and closed in the opposite one.
public protocol NodeService: AnyObject, Sendable {
    /// Names it in the log and in `weft show`, and its thread: at most 15 bytes.
    var name: String { get }

    /// Whether the node can't go on without it. Another is started anew when it ends by itself, later each time.
    var isEssential: Bool { get }

    /// Runs until ``close()``.
    /// - Throws: why it can't go on.
    func run() throws(ServiceFailure)

    /// Ends ``run()`` within a moment, from any thread. Twice is harmless.
    func close()

    /// What is wrong with it at present, in words for people; nil where nothing is.
    var complaint: String? { get }
}

extension NodeService {
    public var isEssential: Bool { true }
    public var complaint: String? { nil }
}

/// Why a service can't go on, in words for people.
public struct ServiceFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
