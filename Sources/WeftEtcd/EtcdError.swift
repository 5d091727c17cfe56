// SPDX-License-Identifier: Apache-2.0

/// Why etcd could not be asked, or what it refused.
public enum EtcdError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The URL isn't one of an etcd.
    case badURL(String)
    /// The URL would be spoken to over a network without TLS.
    case plainHTTP(String)
    /// Nobody answered, or the connection broke.
    case unreachable(String)
    /// etcd answered with an error.
    case refused(status: Int, String)
    /// The answer isn't one of etcd's.
    case malformed(String)
    /// An answer that is longer than any that is taken.
    case tooLong(String)
    /// What was read isn't what there is any more: read everything again.
    case outdated(String)
    /// The lease has run out, or etcd has forgotten it.
    case leaseLost

    public var description: String {
        switch self {
        case .badURL(let text): "\"\(text)\" is no URL of an etcd: expected such as https://etcd.example:2379"
        case .plainHTTP(let text):
            "\(text): without TLS anybody on the way could change the map: use https, or --insecure where the network is safe"
        case .unreachable(let reason): "etcd can't be reached: \(reason)"
        case .refused(let status, let reason): "etcd refused (\(status)): \(reason)"
        case .malformed(let what): "etcd's answer makes no sense: \(what)"
        case .tooLong(let what): "etcd's answer is longer than \(EtcdClient.answerLimit >> 20) MiB: \(what)"
        case .outdated(let why): "etcd \(why)"
        case .leaseLost: "etcd has ended the lease"
        }
    }
}
