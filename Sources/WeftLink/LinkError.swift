// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Why an address, a route, a rule or a link could not be read or changed. The description says what to do.
public enum LinkError: Error, Hashable, Sendable {
    /// The process may not change the network: it lacks CAP_NET_ADMIN.
    case notPermitted
    /// No interface has this name or index.
    case noInterface(String)
    /// Somebody else routes this prefix; `by` names the interface, the protocol and the table.
    case routeTaken(Prefix, by: String)
    /// A plan for policy routing cannot work; the text says what to change.
    case unusablePlan(String)
    /// The kernel refused a request with an errno.
    case refused(operation: String, errorNumber: Int32)
    /// libnl could not carry out a request.
    case netlink(operation: String, reason: String)
    /// libnl could not allocate memory.
    case outOfMemory

    /// The error that an errno of the kernel stands for.
    static func kernel(_ errorNumber: Int32, during operation: String) -> LinkError {
        switch errorNumber {
        case EPERM: .notPermitted
        case ENOMEM: .outOfMemory
        default: .refused(operation: operation, errorNumber: errorNumber)
        }
    }
}

extension LinkError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notPermitted:
            "cannot change addresses and routes: run as root or grant CAP_NET_ADMIN"
        case .noInterface(let name):
            "there is no interface \(name): create it first or correct its name"
        case .routeTaken(let prefix, let owner):
            "\(prefix) is already routed to \(owner); remove that route or change AllowedIPs"
        case .unusablePlan(let reason):
            reason
        case .refused(let operation, let errorNumber):
            "cannot \(operation): \(Self.explain(errorNumber))"
        case .netlink(let operation, let reason):
            "cannot \(operation): \(reason)"
        case .outOfMemory:
            "cannot change addresses and routes: out of memory"
        }
    }

    private static func explain(_ errorNumber: Int32) -> String {
        switch errorNumber {
        case ENETDOWN: return "the interface is down; bring it up first"
        case EACCES: return "IPv6 is disabled on the interface; set its sysctl disable_ipv6 to 0"
        case EAFNOSUPPORT, EOPNOTSUPP: return "the kernel lacks this address family or feature"
        case EEXIST: return "somebody else has just added it"
        default: return SystemCall.message(errorNumber)
        }
    }
}
