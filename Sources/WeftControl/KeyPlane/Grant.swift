// SPDX-License-Identifier: Apache-2.0
import Weft

/// A network that an initiator was granted.
struct Grant {
    let vni: UInt32
    let address: IPAddress
    let initiator: InitiatorLife
    /// Nil for a network from before our start: its session is gone, and its initiator will ask anew.
    let session: KeySession?
    /// Where its data went when it was granted.
    let firstPlace: AddressPair
    let expiry: Instant

    /// Where its initiator is.
    var place: AddressPair { session?.place ?? firstPlace }
}
