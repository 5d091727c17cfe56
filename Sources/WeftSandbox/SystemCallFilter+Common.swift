// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// What several roles have in common.
extension SystemCallFilter {
    /// Memory, threads that are there already, signals, time and descriptors that are open: what any running program does.
    static let ordinary: [String] =
        memory + [
            "futex", "set_robust_list", "get_robust_list", "rseq", "sched_yield", "getcpu", "gettid", "getpid",
            "getppid",
            "exit", "exit_group", "restart_syscall",
            "rt_sigprocmask", "rt_sigaction", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending", "sigaltstack",
            "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times",
            "getrandom", "getrusage", "uname", "sysinfo", "sched_getaffinity",
            "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget",
            "read", "readv", "write", "writev", "close", "fstat", "lseek",
            "recvmsg", "recvmmsg", "recvfrom", "sendmsg", "sendmmsg", "sendto", "shutdown",
            "poll", "ppoll", "select", "pselect6", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_create1",
            "eventfd2",
        ]

    private static let memory = [
        "brk", "munmap", "mremap", "madvise", "mincore", "mlock", "mlock2", "munlock", "mlockall", "membarrier",
    ]

    /// No fault of ours and no library calls these: who does has been taken over.
    static let inexcusable = [
        "execve", "ptrace", "process_vm_readv", "process_vm_writev", "init_module", "finit_module", "delete_module",
        "kexec_load", "kexec_file_load", "setns", "unshare", "mount", "umount2", "pivot_root", "chroot", "move_mount",
        "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    ]

    /// Adds what a program does without asking the system for anything new, and the end of those that do the inexcusable.
    ///
    /// - Parameter mapsPrograms: files may be mapped for execution, as loading a library takes.
    mutating func addOrdinaryRules(mapsPrograms: Bool) throws(SandboxError) {
        try add(.allow, Self.ordinary)
        try add(.kill, Self.inexcusable.filter { !Self.isSanitized || $0 != "execve" })
        // Its flags lie in memory, where a filter can't see them. The C library then asks with clone, whose flags are an argument.
        try add(.fail(ENOSYS), ["clone3"])
        let executes = UInt64(PROT_EXEC)
        try add(.allow, "mmap", where: [ArgumentTest(2, mask: executes, is: 0)])
        if mapsPrograms {
            // Nothing that isn't a file, and nothing that can be written as well.
            let writes = UInt64(PROT_EXEC | PROT_WRITE)
            try add(
                .allow, "mmap",
                where: [
                    ArgumentTest(2, mask: writes, is: executes), ArgumentTest(3, mask: UInt64(MAP_ANONYMOUS), is: 0),
                ])
        }
        try add(.allow, "mprotect", where: [ArgumentTest(2, mask: executes, is: 0)])
        // Signals to itself only; abort() is one.
        let own = UInt64(UInt32(bitPattern: getpid()))
        for call in ["kill", "tgkill"] { try add(.allow, call, where: [ArgumentTest(0, is: own)]) }
        for option in [PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE, PR_CAPBSET_READ, PR_GET_SECUREBITS] {
            try add(.allow, "prctl", where: [ArgumentTest(0, is: UInt64(option))])
        }
        // fstat of the C library on some processors.
        try add(
            .allow, "newfstatat",
            where: [ArgumentTest(3, mask: UInt64(WEFT_AT_EMPTY_PATH), is: UInt64(WEFT_AT_EMPTY_PATH))])
        if Self.isSanitized { try add(.allow, Self.sanitizers) }
    }

    /// Threads yes, processes and namespaces no.
    mutating func addThreadRules() throws(SandboxError) {
        let thread = UInt64(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
        try add(
            .allow, "clone",
            where: [ArgumentTest(0, mask: thread | Self.namespaces | UInt64(CLONE_PTRACE | CLONE_VFORK), is: thread)])
        for flag in Self.namespaceFlags {
            try add(.kill, "clone", where: [ArgumentTest(0, mask: flag, is: flag)])
        }
    }

    static let namespaceFlags = [
        CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET,
    ].map { UInt64(UInt32(bitPattern: Int32($0))) }

    static let namespaces = namespaceFlags.reduce(0, |)

    /// Whether this is a build for tests whose memory a sanitizer watches.
    static var isSanitized: Bool { weft_is_sanitized() != 0 }

    /// What sanitizers do beyond: they read their own maps, change protections, and start themselves again.
    static let sanitizers = [
        "mmap", "mprotect", "prctl", "open", "openat", "readlink", "readlinkat", "personality", "prlimit64",
        "setrlimit",
        "sched_setaffinity", "newfstatat", "stat", "dup", "clone",
    ]
}
