// SPDX-License-Identifier: Apache-2.0
import Weft

/// How a responder answers a request.
public enum ExchangeStatus: UInt8, Hashable, Sendable, CaseIterable {
    case granted = 0
    /// Refused; why isn't told.
    case rejected = 1
    /// No VNI is free now; another try may succeed later.
    case vnisExhausted = 2
    /// No SPI is left: the session is of no more use.
    case spisExhausted = 3
}
