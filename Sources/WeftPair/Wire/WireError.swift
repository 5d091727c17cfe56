// SPDX-License-Identifier: Apache-2.0

/// Why a message over the pair is none.
public enum WireError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A value reaches beyond its record, or its record beyond the message.
    case truncated
    /// A record is longer than its values.
    case trailing
    /// No record has this type.
    case unknownType(UInt8)
    /// A value isn't one of those that it may have.
    case invalid(String)

    public var description: String {
        switch self {
        case .truncated: "a message ends too early"
        case .trailing: "a record is longer than what it holds"
        case .unknownType(let type): "there is no record of type \(type)"
        case .invalid(let what): "\(what) is none"
        }
    }
}
