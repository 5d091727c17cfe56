// SPDX-License-Identifier: Apache-2.0
import Weft

/// An end's proposal for the SA that it'll receive with.
///
/// These are the numbers of the wire, whatever they are: ``SAAgreement`` judges them.
public struct SAOffer: Hashable, Sendable {
    /// The number of a ``Suite``.
    public let suite: UInt8
    /// The bits of an ``SPI``.
    public let receiveSPI: UInt32

    public init(suite: UInt8, receiveSPI: UInt32) {
        self.suite = suite
        self.receiveSPI = receiveSPI
    }

    public init(suite: Suite, receiveSPI: SPI) {
        self.init(suite: suite.rawValue, receiveSPI: receiveSPI.rawValue)
    }
}
