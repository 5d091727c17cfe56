// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftDNS
import WeftPair
import WeftQUIC

/// Which endpoint a machine is, and what one source may cost it.
public struct ControlPlace: Hashable, Sendable {
    public var place = EndpointPlace()
    public var handshakesPerSource = QUICEndpoint.Limits().handshakesPerSource
    public var callsPerSource = QUICEndpoint.Limits().callsPerSource
}
