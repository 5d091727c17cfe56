// SPDX-License-Identifier: Apache-2.0
import CWeftSeccomp
import Glibc

/// Which system calls a process may make, and what the others get: a seccomp(2) filter.
///
/// Calls are named as the kernel names them. One that this machine's kind of processor doesn't have, or that libseccomp doesn't
/// know yet, is left out: it then gets what all others get.
@safe
struct SystemCallFilter: ~Copyable {
    /// What a call gets.
    enum Answer {
        case allow
        /// EPERM, and it is counted: see ``RefusedCalls``.
        case refuse
        /// An `errno`, uncounted.
        case fail(Int32)
        /// The process ends.
        case kill

        fileprivate var action: UInt32 {
            switch self {
            case .allow: SCMP_ACT_ALLOW
            case .refuse: SCMP_ACT_TRAP
            case .fail(let code): 0x0005_0000 | UInt32(code)
            case .kill: SCMP_ACT_KILL_PROCESS
            }
        }
    }

    private let context: scmp_filter_ctx?

    init(otherwise answer: Answer) throws(SandboxError) {
        // The context is owned by this value alone, and released with it.
        let made = unsafe seccomp_init(answer.action)
        unsafe context = made
        guard unsafe made != nil else { throw SandboxError("make a filter of system calls", code: ENOMEM) }
        // The kernel's own error codes; all threads.
        for (attribute, value) in [(SCMP_FLTATR_API_SYSRAWRC, 1), (SCMP_FLTATR_CTL_TSYNC, 1 as UInt32)] {
            try Self.check(unsafe seccomp_attr_set(context, attribute, value), "set up a filter of system calls")
        }
        // Older kernels don't know both: without the mitigation that would slow each thread down; and a search in place of
        // a row of comparisons.
        for (attribute, value) in [(SCMP_FLTATR_CTL_SSB, 1), (SCMP_FLTATR_CTL_OPTIMIZE, 2 as UInt32)] {
            _ = unsafe seccomp_attr_set(context, attribute, value)
        }
    }

    deinit { unsafe seccomp_release(context) }

    /// Answers these calls so, whatever their arguments.
    mutating func add(_ answer: Answer, _ names: [String]) throws(SandboxError) {
        for name in names { try add(answer, name, where: []) }
    }

    /// Answers a call so where all tests hold. Rules for one call add up; what none of them covers is answered as other calls are.
    mutating func add(_ answer: Answer, _ name: String, where tests: [ArgumentTest]) throws(SandboxError) {
        guard let number = Self.number(of: name), number >= 0 else { return }
        let comparisons = tests.map(\.comparison)
        // The library only reads the tests.
        let code = unsafe seccomp_rule_add_array(
            context, answer.action, number, UInt32(comparisons.count), comparisons)
        try Self.check(code, "filter \(name)")
    }

    /// Puts it into force in all threads of the process, for as long as that lives.
    consuming func load() throws(SandboxError) {
        try Self.check(unsafe seccomp_load(context), "filter system calls")
    }

    /// A call's number on this kind of processor; below 0 if only others have it, nil if libseccomp knows none of that name.
    static func number(of name: String) -> Int32? {
        // The library only reads the name.
        let number = unsafe seccomp_syscall_resolve_name(name)
        return number == __NR_SCMP_ERROR ? nil : number
    }

    private static func check(_ code: Int32, _ operation: String) throws(SandboxError) {
        if code != 0 { throw SandboxError(operation, code: -code) }
    }
}

/// A test of one argument of a system call. The kernel compares all 64 bits: what it takes for an `int` is tested under a mask.
struct ArgumentTest {
    fileprivate let comparison: scmp_arg_cmp

    /// Whether the bits of `mask` of the argument of that index, counted from 0, are those of `value`.
    init(_ index: UInt32, mask: UInt64 = 0xFFFF_FFFF, is value: UInt64) {
        comparison = scmp_arg_cmp(arg: index, op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value & mask)
    }
}
