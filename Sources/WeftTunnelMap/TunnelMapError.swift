// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why a tunnel map could not be loaded, read or changed. The description says what to do.
public enum TunnelMapError: Error, Hashable, Sendable {
    /// The process lacks these capabilities.
    case missingCapabilities(operation: String, [String])
    /// The kernel refused a call.
    case refused(operation: String, errorNumber: Int32)
    /// The kernel's verifier or libbpf refused the program; the text is the end of what they said.
    case programRefused(String)
    case noInterface(String)
    /// The classifier needs an interface with Ethernet headers.
    case notEthernet(String)
    /// A map's name has 1 to 32 letters, digits, `-` or `_`.
    case badName(String)
    /// No map of this name is pinned.
    case notLoaded(name: String)
    case noEntry(Prefix)
    case noPeer(String)
    case invalid(Prefix, reason: String)
    case duplicate(Prefix)
    /// More entries, groups, nexthops or peers than the map was loaded for.
    case full(what: String, capacity: Int)
    /// The pinned maps hold what no loader of this layout writes.
    case damaged(String)
}

extension TunnelMapError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .missingCapabilities(let operation, let names):
            "cannot \(operation): run as root or grant \(names.joined(separator: ", "))"
        case .refused(let operation, let errorNumber):
            "cannot \(operation): \(SystemCall.message(errorNumber))"
        case .programRefused(let text):
            "the kernel refused the classifier: \(text)"
        case .noInterface(let name):
            "there is no interface \(name): create it first or correct its name"
        case .notEthernet(let name):
            "interface \(name) has no Ethernet headers: point the overlay's routes to one that has, such as a veth or ifb"
        case .badName(let name):
            "\"\(name)\" can't be a map's name: use 1 to 32 letters, digits, - or _"
        case .notLoaded(let name):
            "no tunnel map \(name) is loaded; `weft tunnel-map run` loads one"
        case .noEntry(let prefix):
            "there is no entry for \(prefix)"
        case .noPeer(let name):
            "no entry has a nexthop of a peer \"\(name)\""
        case .invalid(let prefix, let reason):
            "\(prefix): \(reason)"
        case .duplicate(let prefix):
            "\(prefix) stands there twice"
        case .full(let what, let capacity):
            "the map has room for \(capacity) \(what): load it with a larger capacity"
        case .damaged(let what):
            "the pinned maps are damaged: \(what); `weft tunnel-map down` removes them"
        }
    }
}
