// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a session's SAs get their keys from.
enum SessionKeys {
    /// ICX's derivation.
    case icx(ICXKeys)
    /// `weft/1`'s.
    case weft(Ratchet)
}
