// SPDX-License-Identifier: Apache-2.0

/// A pair of prefixes of one family: packets from `source` (our side) to `destination` (the peer's side).
public struct Route: Hashable, Sendable, CustomStringConvertible {
    /// Our side.
    public let source: Prefix
    /// The peer's side.
    public let destination: Prefix

    public init(source: Prefix, destination: Prefix) {
        self.source = source
        self.destination = destination
    }

    public var description: String { "\(source) -> \(destination)" }
}
