// SPDX-License-Identifier: Apache-2.0
import Glibc
import WeftCommand
import WeftGuard
import WeftXDP

/// What a tunnel leaves on the host when its process is killed.
package enum Leftovers {
    /// Takes it away, so that what the tunnel should carry may leave by any way again. The tunnel must not be up.
    /// - Returns: whether there was anything.
    package static func remove(of tunnel: String) throws -> Bool {
        // Whoever isn't root puts nothing into the host.
        guard Privileges.mayConfigureNetwork else { return unsafe unlink(RuntimeFolder.socket(of: tunnel)) == 0 }
        let hadPair = XDPDatapath.removeLeftover(tunnel)
        let hadGuard = try HostGuard.open(tunnel: tunnel)
        let hadSocket = unsafe unlink(RuntimeFolder.socket(of: tunnel)) == 0
        return hadPair || hadGuard || hadSocket
    }
}
