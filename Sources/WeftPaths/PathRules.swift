// SPDX-License-Identifier: Apache-2.0
import Weft

/// What is known of a peer's paths from elsewhere: its section in the file, and what it said that it can do.
public struct PathRules: Hashable, Sendable {
    /// Whether the peer answers sealed probes.
    public enum Answering: Hashable, Sendable {
        /// It doesn't, as ICX and Weft's first release: it is where the file and its control connection say.
        case never
        /// Nobody said so, as with keys that were carried by hand: it is where the file says until a probe was answered.
        case perhaps
        /// It said that it does.
        case always
    }

    /// The file's endpoint, if that is an address.
    public var endpoint: Endpoint?
    /// What it stands for, if it is a name, in the order of preference; none before that was looked up.
    public var named: [Endpoint]
    /// Whether the endpoint stays what the file says.
    public var isPinned: Bool
    public var answering: Answering

    public init(endpoint: Endpoint?, named: [Endpoint] = [], isPinned: Bool = false, answering: Answering) {
        self.endpoint = endpoint
        self.named = named
        self.isPinned = isPinned
        self.answering = answering
    }
}
