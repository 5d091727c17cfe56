// SPDX-License-Identifier: Apache-2.0

/// Why a data path could not be made, or ended.
public enum DatapathError: Error, Sendable, CustomStringConvertible {
    case alreadyRun
    case engine(EngineError)
    /// A transport failed so often in a row that going on makes no sense.
    case transport(TransportError)
    /// Setting up failed; the text says what to do.
    case setup(String)

    public var description: String {
        switch self {
        case .alreadyRun: "a data path runs only once"
        case .engine(let error): error.description
        case .transport(let error): error.description
        case .setup(let text): text
        }
    }
}
