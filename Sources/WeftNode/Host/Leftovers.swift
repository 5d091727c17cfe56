// SPDX-License-Identifier: Apache-2.0
import WeftGuard
import WeftXDP

/// What a tunnel leaves on the host when its process is killed.
package enum Leftovers {
    /// Takes it away, so that what the tunnel should carry may leave by any way again. The tunnel must not be up.
    /// - Returns: whether there was anything.
    package static func remove(of tunnel: String) throws -> Bool {
        let hadPair = XDPDatapath.removeLeftover(tunnel)
        return try HostGuard.open(tunnel: tunnel) || hadPair
    }
}
