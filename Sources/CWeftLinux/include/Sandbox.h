// SPDX-License-Identifier: Apache-2.0
// What confining a process takes and Swift can't express.
#pragma once
#include <asm/ioctls.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <stdint.h>
#include <sys/types.h>

/// Numbers of system calls that are counted one by one; those above share the last counter.
#define WEFT_COUNTED_CALLS 1024

/// Made by macros with a cast, or known with _GNU_SOURCE only.
enum {
    WEFT_AT_EMPTY_PATH = 0x1000,
    WEFT_TUN_SET_INTERFACE = TUNSETIFF,
    WEFT_TUN_SET_OFFLOAD = TUNSETOFFLOAD,
};

/// Handles SIGSYS: a system call that a filter answered with SECCOMP_RET_TRAP returns -EPERM, and is counted. The
/// handler allocates nothing, locks nothing and calls nothing. A thread that blocks SIGSYS dies of such a call.
/// Returns -1 with errno set when it can't be set.
int weft_refuse_trapped_calls(void);

/// How often the call of that number was refused so.
uint64_t weft_refused_calls(uint32_t number);

/// setresuid(2) and setresgid(2) with all three the same, and setgroups(2) with that group alone or none.
int weft_set_user(uid_t user);
int weft_set_group(gid_t group);
int weft_set_groups(const gid_t *group);

/// The path that `weft_execute` hands execveat(2): empty, in memory that is never written. A filter can compare it.
const char *weft_no_path(void);

/// Runs the program that `descriptor` is open on in place of this one. Returns only when that fails, with errno set.
int weft_execute(int descriptor, char *const arguments[], char *const environment[]);

/// Starts a process that is a copy of this one, which has one thread: 0 in the copy, its number in this one. `pidfd`
/// gets a descriptor, closed on exec, that is readable once it has ended. Signals sent by it reach nobody else, ever.
pid_t weft_fork(int *pidfd);

/// pidfd_send_signal(2), without more.
int weft_signal(int pidfd, int signal);

/// Whether this build's memory is watched by a sanitizer, which makes system calls of its own.
int weft_is_sanitized(void);
