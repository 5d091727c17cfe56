// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "Sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

static uint64_t refused[WEFT_COUNTED_CALLS];

static void refuse(int signal, siginfo_t *info, void *context) {
    ucontext_t *interrupted = context;
    uint32_t number = (uint32_t)info->si_syscall;
    (void)signal;
    // Sent by somebody's kill(2): there is no call whose result could be changed.
    if (info->si_code != SYS_SECCOMP) {
        return;
    }
    if (number >= WEFT_COUNTED_CALLS) {
        number = WEFT_COUNTED_CALLS - 1;
    }
    __atomic_fetch_add(&refused[number], 1, __ATOMIC_RELAXED);
#if defined(__x86_64__)
    interrupted->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
    interrupted->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#else
#error "say where this processor keeps a system call's result"
#endif
}

int weft_refuse_trapped_calls(void) {
    struct sigaction action = {.sa_sigaction = refuse, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t one;
    if (sigaction(SIGSYS, &action, NULL) != 0) {
        return -1;
    }
    sigemptyset(&one);
    sigaddset(&one, SIGSYS);
    return sigprocmask(SIG_UNBLOCK, &one, NULL);
}

uint64_t weft_refused_calls(uint32_t number) {
    return number < WEFT_COUNTED_CALLS ? __atomic_load_n(&refused[number], __ATOMIC_RELAXED) : 0;
}

int weft_set_user(uid_t user) { return setresuid(user, user, user); }

int weft_set_group(gid_t group) { return setresgid(group, group, group); }

int weft_set_groups(const gid_t *group) { return setgroups(group != NULL ? 1 : 0, group); }

static const char no_path[] = "";

const char *weft_no_path(void) { return no_path; }

int weft_execute(int descriptor, char *const arguments[], char *const environment[]) {
    return (int)syscall(SYS_execveat, descriptor, no_path, arguments, environment, AT_EMPTY_PATH);
}

pid_t weft_fork(int *pidfd) {
    // Not fork(3): its handlers are for processes with threads, and there is no descriptor.
    return (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, 0);
}

int weft_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0); }

int weft_is_sanitized(void) {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return 1;
#else
    return 0;
#endif
}
