// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Weft
import WeftFiles

/// What is wrong with a tunnel map's file, or with a value in etcd.
public struct MapFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file or key, and where in it.
    public let place: String
    public let message: String

    public var description: String { "\(place): \(message)" }

    public init(_ place: String, _ message: String) {
        self.place = place
        self.message = message
    }

    /// Why a file isn't read.
    init(_ path: String, _ refusal: FileRefusal) {
        self.init(path, refusal.path == path ? refusal.complaint : refusal.description)
    }
}
