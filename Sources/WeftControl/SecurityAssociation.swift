// SPDX-License-Identifier: Apache-2.0
import Weft

/// One direction's security association, as both ends agreed on it.
@frozen
public struct SecurityAssociation: ~Copyable, Sendable {
    public let spi: SPI
    public let suite: Suite
    /// ``Suite/keyLength`` bytes.
    public let key: SecretBytes
}
