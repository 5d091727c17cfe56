// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

extension SystemCallFilter {
    /// What a running tunnel does: packets, routes, its key states, names, its log and its admin socket.
    mutating func addDataRules(usesXDP: Bool) throws(SandboxError) {
        // A name's lookup may load a library, whenever the host's nsswitch.conf comes to name one.
        try addOrdinaryRules(mapsPrograms: true)
        if !Self.isSanitized { try addThreadRules() }
        try add(.kill, ["execveat"])
        try add(.allow, Self.files + Self.sockets)
        try addSocketRules(usesXDP: usesXDP)
        for request in Self.requests { try add(.allow, "ioctl", where: [ArgumentTest(1, is: request)]) }
        for call in ["sched_setaffinity", "prlimit64"] where !Self.isSanitized {
            try add(.allow, call, where: [ArgumentTest(0, is: 0)])
        }
        if usesXDP {
            for command in Self.xdpCommands { try add(.allow, "bpf", where: [ArgumentTest(0, is: command)]) }
        } else {
            try add(.kill, ["bpf"])
        }
    }

    private static let files = [
        "open", "openat", "newfstatat", "stat", "lstat", "statx", "statfs", "fstatfs", "access", "faccessat",
        "faccessat2", "readlink", "readlinkat", "getcwd", "getdents64", "pread64", "pwrite64", "preadv", "pwritev",
        "fcntl", "flock", "fsync", "fdatasync", "ftruncate", "fchmod", "umask", "unlink", "unlinkat", "rename",
        "renameat", "renameat2", "mkdir", "mkdirat", "close_range", "dup", "dup2", "dup3", "pipe2", "signalfd4",
        "waitid", "splice", "timerfd_create", "timerfd_settime", "timerfd_gettime", "setrlimit", "getrlimit",
    ]

    private static let sockets = [
        "connect", "bind", "listen", "accept", "accept4", "getsockname", "getpeername", "getsockopt", "setsockopt",
    ]

    /// Only the families that we speak, and of netlink routes and netfilter.
    private mutating func addSocketRules(usesXDP: Bool) throws(SandboxError) {
        var families = [AF_UNIX, AF_INET, AF_INET6, AF_PACKET]
        if usesXDP { families.append(AF_XDP) }
        for family in families { try add(.allow, "socket", where: [ArgumentTest(0, is: UInt64(family))]) }
        for netlink in [NETLINK_ROUTE, NETLINK_NETFILTER] {
            try add(
                .allow, "socket",
                where: [ArgumentTest(0, is: UInt64(AF_NETLINK)), ArgumentTest(2, is: UInt64(netlink))])
        }
        try add(.allow, "socketpair", where: [ArgumentTest(0, is: UInt64(AF_UNIX))])
    }

    /// The ioctl(2) requests: names and numbers of interfaces, offloads and MAC addresses, the TUN device, how much is to be read.
    private static let requests =
        [SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFHWADDR, SIOCETHTOOL, FIONREAD, FIONBIO, TCGETS]
        .map { UInt64($0) } + [UInt64(WEFT_TUN_SET_INTERFACE), UInt64(WEFT_TUN_SET_OFFLOAD)]

    /// bpf(2) on what is there already: elements of maps (1 to 4), information on a descriptor (15), and links (28, 29 and 34),
    /// by which a program returns to an interface. None that loads a program.
    private static let xdpCommands: [UInt64] = [1, 2, 3, 4, 15, 28, 29, 34]
}
