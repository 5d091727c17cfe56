// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

extension SystemCallFilter {
    /// What starting processes takes, and what these do until they confine themselves further: a filter is inherited.
    ///
    /// Of programs only the one on `program` runs, by `weft_execute`. Signals go to own children only: by the descriptor that
    /// came with their start, never by a number.
    mutating func addSpawnerRules(program: Int32) throws(SandboxError) {
        // The loader maps libraries.
        try addOrdinaryRules(mapsPrograms: true)
        try add(.kill, ["bpf"])
        try add(.allow, Self.start)
        try add(.allow, ["wait4", "waitid", "pidfd_send_signal"])
        // The path is compared as well: with one, the descriptor would mean nothing.
        let path = unsafe UInt64(UInt(bitPattern: weft_no_path()))
        try add(
            .allow, "execveat",
            where: [
                ArgumentTest(0, is: UInt64(program)), ArgumentTest(1, mask: .max, is: path),
                ArgumentTest(4, is: UInt64(WEFT_AT_EMPTY_PATH)),
            ])
        for call in ["prlimit64", "sched_setaffinity"] where !Self.isSanitized {
            try add(.allow, call, where: [ArgumentTest(0, is: 0)])
        }
        try add(.allow, "socketpair", where: [ArgumentTest(0, is: UInt64(AF_UNIX))])
        if !Self.isSanitized {
            try add(.allow, "clone", where: [ArgumentTest(0, mask: Self.namespaces | UInt64(CLONE_PTRACE), is: 0)])
            for flag in Self.namespaceFlags {
                try add(.kill, "clone", where: [ArgumentTest(0, mask: flag, is: flag)])
            }
            // What a program that has just started asks beyond the names of its threads.
            for option in Self.options { try add(.allow, "prctl", where: [ArgumentTest(0, is: UInt64(option))]) }
        }
    }

    /// What the loader, the C library and the program's libraries do before it confines itself, and what that takes.
    private static let start = [
        "open", "openat", "newfstatat", "stat", "lstat", "statx", "statfs", "fstatfs", "access", "faccessat",
        "faccessat2", "readlink", "readlinkat", "getcwd", "getdents64", "pread64", "fcntl", "close_range", "dup",
        "dup2",
        "dup3", "pipe2", "arch_prctl", "set_tid_address", "memfd_create", "ftruncate", "umask", "setsid", "getrlimit",
        "setrlimit", "getsockopt", "setsockopt", "getsockname", "getpeername", "capset", "seccomp", "signalfd4",
        "timerfd_create", "timerfd_settime", "timerfd_gettime", "munlockall",
    ]

    private static let options = [
        PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, PR_CAP_AMBIENT, PR_SET_SECCOMP,
        PR_GET_SECCOMP, PR_SET_KEEPCAPS, PR_GET_KEEPCAPS, PR_SET_SECUREBITS, PR_CAPBSET_DROP,
    ]
}
