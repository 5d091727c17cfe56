// SPDX-License-Identifier: Apache-2.0
import Weft

/// Asks resolvers, and waits for nothing. One thread uses it.
public protocol NameQueries: AnyObject {
    /// Asks these from now on, in their order. What is under way ends without an answer.
    func setResolvers(_ resolvers: [IPAddress])

    /// Asks for a name's addresses of a family; ``nextAnswer()`` has what came of it under the same number, at some time.
    /// - Parameter name: whole as it is, without a final dot.
    func ask(_ number: UInt64, for name: String, _ family: IPAddress.Family)

    /// Does what is due: asks again, or gives up.
    func advance()

    func nextAnswer() -> (number: UInt64, answer: NameAnswer)?
}

/// What resolvers said of a name's addresses of one family.
public enum NameAnswer: Hashable, Sendable {
    /// At least one address.
    case found([IPAddress], timeToLive: Duration)
    case failed(NameFailure)
}

/// Why a name has no address, the more telling the higher.
public enum NameFailure: Int, Hashable, Sendable, Comparable {
    case noSuchName
    /// The name is known, and has none.
    case noAddress
    /// The resolvers can't be reached, refuse, fail, or say what can't be read.
    case refused
    case noAnswer

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
