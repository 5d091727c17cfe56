// SPDX-License-Identifier: Apache-2.0
// The kernel's headers that Glibc's module leaves out, and its macros that Swift can't import.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/// Names the calling thread; variadic in C.
static inline void weft_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/// Keeps the process out of core dumps and away from debuggers of the same user.
static inline int weft_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/// TUNSETIFF: its number is made by a macro with a cast, and its structure is a union of macros. A name that is too
/// long is cut, so check it before.
static inline int weft_tun_attach(int descriptor, const char *name, int flags) {
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = (short)flags;
    return ioctl(descriptor, TUNSETIFF, &request);
}

/// sendmmsg and recvmmsg with their Linux structure, which only _GNU_SOURCE declares.
struct weft_message {
    struct msghdr header;
    unsigned int length;
};

_Static_assert(sizeof(struct weft_message) == sizeof(struct mmsghdr), "the kernel's layout");

static inline int weft_send_messages(int descriptor, struct weft_message *messages, unsigned int count, int flags) {
    return sendmmsg(descriptor, (struct mmsghdr *)messages, count, flags);
}

static inline int weft_receive_messages(int descriptor, struct weft_message *messages, unsigned int count, int flags) {
    return recvmmsg(descriptor, (struct mmsghdr *)messages, count, flags, NULL);
}

/// pipe2 with O_CLOEXEC, which only _GNU_SOURCE declares.
static inline int weft_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

/// Runs `PROGRAM up FILE` in a session of its own, without standard input, with `writing` as descriptor `ready` and
/// `variable` set. The program is the one that is running. Returns its process number, or -1 with errno set.
int weft_spawn_detached(const char *file, int writing, int ready, const char *variable);

/// accept4 with SOCK_CLOEXEC and without the peer's address: both are beyond Swift's Glibc.
static inline int weft_accept(int descriptor) { return accept4(descriptor, NULL, NULL, SOCK_CLOEXEC); }
