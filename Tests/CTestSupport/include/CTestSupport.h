// SPDX-License-Identifier: Apache-2.0
// What integration tests need of Linux and Swift's Glibc lacks.
#pragma once

/// Moves the calling thread into the network namespace at `path`. Returns 0, or -1 with errno set.
int test_enter_network(const char *path);

/// Makes a pipe whose ends no child inherits. Returns 0, or -1 with errno set.
int test_pipe(int ends[2]);

/// Starts a program, which is looked for in PATH: with `input` as its standard input, or `/dev/null` for -1, with
/// its output in the files `out` and `err`, and with nothing else open. Returns its process number, or -1 with errno set.
int test_spawn(char *const arguments[], int input, const char *out, const char *err);

/// Whether the build has a sanitizer, which keeps memory from being locked. 1 or 0.
int test_is_sanitized(void);

/// syscall(2): what it returns, or the negative errno.
long test_call(long number, long a, long b, long c, long d, long e);
