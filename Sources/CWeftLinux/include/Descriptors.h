// SPDX-License-Identifier: Apache-2.0
// Handing descriptors from process to process, whose control messages are made by macros.
#pragma once
#include <sys/types.h>

/// The most descriptors that go with one message.
enum { WEFT_MOST_DESCRIPTORS = 64 };

/// Sends a message with `number` descriptors, at most WEFT_MOST_DESCRIPTORS; the sender's own stay open. Returns what
/// sendmsg(2) does.
ssize_t weft_send_descriptors(int socket, const void *bytes, size_t count, const int *descriptors, unsigned int number);

/// Receives a message and the descriptors that came with it, closed on exec, at most `*number` of them; `*number` gets how many
/// came. What is more is closed. Returns what recvmsg(2) does, with `flags`.
ssize_t weft_receive_descriptors(int socket, void *bytes, size_t count, int *descriptors, unsigned int *number, int flags);

/// The user at the other end of a Unix socket when it was connected, which SO_PEERCRED tells. Returns 0, or -1 with errno set.
int weft_peer_user(int socket, uid_t *user);

/// memfd_create(2) with sealing allowed, closed on exec.
int weft_memory_file(const char *name);

/// Seals a memory file: nobody can write to it, resize it, or lift that.
int weft_seal(int descriptor);

/// fcntl(2)'s F_DUPFD_CLOEXEC: the same open file at a number above `least`.
int weft_duplicate_above(int descriptor, int least);

/// Points the three standard descriptors at /dev/null.
int weft_silence(void);

/// The status that waitid(2) left: si_status, which is a macro.
int weft_exit_status(const void *information);
