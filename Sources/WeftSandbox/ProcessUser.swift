// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The user and group that a process goes on as.
public struct ProcessUser: Hashable, Sendable {
    public let user: uid_t
    public let group: gid_t

    public init(user: uid_t, group: gid_t) {
        self.user = user
        self.group = group
    }

    /// Who the calling process is.
    public static var current: ProcessUser { ProcessUser(user: geteuid(), group: getegid()) }

    /// A user of the host; nil where there is none of that name. Looks the name up, so call it before the process is confined.
    public init?(named name: String) {
        var entry = unsafe passwd()
        var found: UnsafeMutablePointer<passwd>? = nil
        var text = [CChar](repeating: 0, count: 16 << 10)
        // The call writes into buffers that outlive it; of the entry only its numbers are used.
        let code = unsafe getpwnam_r(name, &entry, &text, text.count, &found)
        guard code == 0, unsafe found != nil else { return nil }
        self = unsafe ProcessUser(user: entry.pw_uid, group: entry.pw_gid)
    }

    /// Whom the data process goes on as: the host's user `weft` where there is one, else who it is.
    public static var forData: ProcessUser { ProcessUser(named: "weft") ?? .current }

    /// Whom the control process and its spawner go on as: the host's user `weft-control` where there is one, else a
    /// number of the tunnel's own: 0x77650000 and its port, 2003107840 to 2003173375.
    ///
    /// Those lie where neither Debian nor systemd gives numbers out: above containers' (which end at 1879048191), and below
    /// those that some programs take for negative. No two tunnels of a host share a port, so none can signal another's.
    public static func forControl(port: UInt16) -> ProcessUser {
        ProcessUser(named: "weft-control")
            ?? ProcessUser(user: firstControlUser | uid_t(port), group: firstControlUser | gid_t(port))
    }

    private static let firstControlUser: uid_t = 0x7765_0000
}
