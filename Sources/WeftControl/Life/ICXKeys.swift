// SPDX-License-Identifier: Apache-2.0
import Weft

/// A session's master keys, which stay what they are.
final class ICXKeys {
    let masterKeys: MasterKeys

    init(_ masterKeys: consuming MasterKeys) { self.masterKeys = masterKeys }
}
