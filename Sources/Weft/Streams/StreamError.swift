// SPDX-License-Identifier: Apache-2.0

/// Why a kind could not be consumed.
public enum StreamError: Error, Hashable, Sendable, CustomStringConvertible {
    case engineTakesData
    case taken(PacketKind)
    case transport(TransportError)

    public var description: String {
        switch self {
        case .engineTakesData: "data goes to the engine and to nobody else"
        case .taken(let kind): "\(kind) has a consumer already: close that one first"
        case .transport(let error): error.description
        }
    }
}
