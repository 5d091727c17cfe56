// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CTestSupport.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__has_feature)
#define __has_feature(feature) 0
#endif

extern char **environ;

int test_is_sanitized(void) { return __has_feature(thread_sanitizer) || __has_feature(address_sanitizer); }

int test_enter_network(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    int result, error;
    if (descriptor < 0) {
        return -1;
    }
    result = setns(descriptor, CLONE_NEWNET);
    error = errno;
    close(descriptor);
    errno = error;
    return result;
}

int test_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int test_spawn(char *const arguments[], int input, const char *out, const char *err) {
    const int flags = O_WRONLY | O_CREAT | O_APPEND;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t child = -1;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (input >= 0) {
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    } else {
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out, flags, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err, flags, 0600);
    // Whatever else the tests have open is no business of the child's.
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    // A group of its own, so that Ctrl-C ends the tests, whose end then ends it.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    int error = posix_spawnp(&child, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return child;
}

long test_call(long number, long a, long b, long c, long d, long e) {
    long result = syscall(number, a, b, c, d, e);
    return result == -1 ? -errno : result;
}
