// SPDX-License-Identifier: Apache-2.0
#include "CWeftLinux.h"
#include <spawn.h>
#include <stdlib.h>

extern char **environ;

int weft_spawn_detached(const char *file, int writing, int ready, const char *variable) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *const arguments[] = {"weft", "up", "--", (char *)file, NULL};
    pid_t child = -1;
    if (setenv(variable, "1", 1) != 0) {
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    // POSIX_SPAWN_SETSID and the descriptor that dup2 makes without close-on-exec are what Swift's Glibc can't express.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, writing, ready);
    int code = posix_spawn(&child, "/proc/self/exe", &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    unsetenv(variable);
    if (code != 0) {
        errno = code;
        return -1;
    }
    return child;
}
