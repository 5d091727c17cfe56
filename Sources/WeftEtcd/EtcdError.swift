// SPDX-License-Identifier: Apache-2.0

/// Why etcd could not be asked, or what it refused.
public enum EtcdError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The URL isn't one of an etcd.
    case badURL(String)
    /// Nobody answered, or the connection broke.
    case unreachable(String)
    /// etcd answered with an error.
    case refused(status: Int, String)
    /// The answer isn't one of etcd's.
    case malformed(String)
    /// The revisions that were asked for are gone: read everything again.
    case compacted
    /// The lease has run out, or etcd has forgotten it.
    case leaseLost

    public var description: String {
        switch self {
        case .badURL(let text): "\"\(text)\" is no URL of an etcd: expected such as http://127.0.0.1:2379"
        case .unreachable(let reason): "etcd can't be reached: \(reason)"
        case .refused(let status, let reason): "etcd refused (\(status)): \(reason)"
        case .malformed(let what): "etcd's answer makes no sense: \(what)"
        case .compacted: "etcd has compacted the revisions that were watched"
        case .leaseLost: "etcd has ended the lease"
        }
    }
}
