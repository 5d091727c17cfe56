// SPDX-License-Identifier: Apache-2.0
// The kernel's headers that Glibc's module leaves out, and its macros and calls that Swift can't import.
//
// This header defines no feature macro: two modules that see different versions of a system structure can't be imported
// together. What needs _GNU_SOURCE stands in the .c file.
#pragma once
#include "Descriptors.h"
#include "PrivateNamespace.h"
#include "Sandbox.h"
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

/// Asks the processor to fetch a cache line that will be read soon. Any address will do.
static inline void weft_prefetch(const void *address) { __builtin_prefetch(address); }

/// Names the calling thread; at most 15 bytes are shown.
void weft_name_thread(const char *name);

/// Pins the calling thread to one of the processors that the process may run on: their `ordinal`th, counted from 0 and
/// around. Returns -1 with errno set when that fails.
int weft_pin_thread(unsigned int ordinal);

/// Keeps the process out of core dumps and away from debuggers of the same user.
int weft_forbid_dumps(void);

/// TUNSETIFF: its number is made by a macro with a cast, and its structure is a union of macros. A name that is too
/// long is cut, so check it before.
int weft_tun_attach(int descriptor, const char *name, int flags);

/// TUNSETOFFLOAD, likewise, with TUN_F_ flags.
int weft_tun_set_offload(int descriptor, unsigned int flags);

// Newer than Debian 12's headers.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/// struct mmsghdr, which only _GNU_SOURCE declares.
struct weft_message {
    struct msghdr header;
    unsigned int length;
};

/// sendmmsg(2) and recvmmsg(2).
int weft_send_messages(int descriptor, struct weft_message *messages, unsigned int count, int flags);
int weft_receive_messages(int descriptor, struct weft_message *messages, unsigned int count, int flags);

/// pipe2(2) with O_CLOEXEC.
int weft_pipe(int ends[2]);

/// epoll(7), which Glibc's module leaves out. A set of descriptors that are watched.
int weft_watch_set(void);

/// Has a set tell once, by `token`, when a descriptor is readable, or `writing` writable, or has an error. Returns -1 with errno set.
int weft_watch(int set, int descriptor, int writing, uint64_t token);

/// Takes at most `most` tokens of those that are ready, at most 256, without waiting. Returns how many.
int weft_take_ready(int set, uint64_t *tokens, int most);

/// splice(2) between a socket and a pipe, whose other end is never waited for. Returns what it does.
ssize_t weft_splice(int from, int to, size_t most);

/// accept4(2) with SOCK_CLOEXEC, without the peer's address.
int weft_accept(int descriptor);

/// Runs `PROGRAM VERB FILE` in a session of its own, without standard input, with `writing` as descriptor `ready` and
/// `variable` set. The program is the one that is running. Returns its process number, or -1 with errno set.
int weft_spawn_detached(const char *verb, const char *file, int writing, int ready, const char *variable);

// Newer than Debian 12's headers: how many frames one call sends in copy mode.
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

/// The ethtool commands that we need; the header itself can't be imported beside Glibc's.
enum weft_ethtool {
    WEFT_ETHTOOL_RX_CHECKSUM,
    WEFT_ETHTOOL_TX_CHECKSUM,
    WEFT_ETHTOOL_SCATTER_GATHER,
    WEFT_ETHTOOL_TSO,
    WEFT_ETHTOOL_GSO,
    WEFT_ETHTOOL_GRO,
};

/// Turns an offload of an interface on or off (SIOCETHTOOL). Returns -1 with errno set when that fails.
int weft_set_offload(const char *name, enum weft_ethtool offload, int on);

/// How many receive queues an interface has now (ETHTOOL_GCHANNELS); 1 where the driver doesn't say.
int weft_receive_queues(const char *name);

/// Lifts the limit on locked memory, which a UMEM needs. Returns -1 with errno set when that fails.
int weft_unlimit_locked_memory(void);

/// Whether a BPF file system is mounted at `path`: 1 or 0. Its magic number and statfs(2) are not in Glibc's module.
int weft_is_bpf_file_system(const char *path);

/// The six bytes of an interface's MAC address. Returns -1 when it is gone or its packets have no Ethernet header.
int weft_ethernet_address(const char *name, unsigned char *address);

/// Opens /sys/class/net of the calling thread's network, whatever is mounted at /sys: a thread with mounts of its own does
/// it. Returns a descriptor that only leads to what is below, or -1.
int weft_open_links(void);

/// Writes a word to `name`/`file` below what `weft_open_links` gave. Returns 0, or -1 with errno.
int weft_write_link_setting(int links, const char *name, const char *file, const char *word);
