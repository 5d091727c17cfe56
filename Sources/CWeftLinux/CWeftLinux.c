// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CWeftLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

void weft_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int weft_pin_thread(unsigned int ordinal) {
    cpu_set_t allowed;
    cpu_set_t one;
    // The main thread's, which is never pinned: another thread may have been started by a pinned one.
    if (sched_getaffinity(getpid(), sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) == 0) {
        return -1;
    }
    ordinal %= (unsigned int)CPU_COUNT(&allowed);
    for (int processor = 0; processor < CPU_SETSIZE; processor++) {
        if (CPU_ISSET(processor, &allowed) && ordinal-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(processor, &one);
            return sched_setaffinity(0, sizeof(one), &one);
        }
    }
    return -1;
}

int weft_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int weft_tun_attach(int descriptor, const char *name, int flags) {
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = (short)flags;
    return ioctl(descriptor, TUNSETIFF, &request);
}

int weft_tun_set_offload(int descriptor, unsigned int flags) {
    return ioctl(descriptor, TUNSETOFFLOAD, (unsigned long)flags);
}

_Static_assert(sizeof(struct weft_message) == sizeof(struct mmsghdr), "the kernel's layout");

int weft_send_messages(int descriptor, struct weft_message *messages, unsigned int count, int flags) {
    return sendmmsg(descriptor, (struct mmsghdr *)messages, count, flags);
}

int weft_receive_messages(int descriptor, struct weft_message *messages, unsigned int count, int flags) {
    return recvmmsg(descriptor, (struct mmsghdr *)messages, count, flags, NULL);
}

int weft_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int weft_watch_set(void) { return epoll_create1(EPOLL_CLOEXEC); }

int weft_watch(int set, int descriptor, int writing, uint64_t token) {
    struct epoll_event event = {.events = EPOLLONESHOT | (writing ? EPOLLOUT : EPOLLIN | EPOLLRDHUP), .data.u64 = token};
    if (epoll_ctl(set, EPOLL_CTL_MOD, descriptor, &event) == 0) {
        return 0;
    }
    return errno == ENOENT ? epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event) : -1;
}

int weft_take_ready(int set, uint64_t *tokens, int most) {
    struct epoll_event events[256];
    int count = epoll_wait(set, events, most < 256 ? most : 256, 0);
    for (int index = 0; index < count; index++) {
        tokens[index] = events[index].data.u64;
    }
    return count;
}

ssize_t weft_splice(int from, int to, size_t most) {
    return splice(from, NULL, to, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

int weft_accept(int descriptor) { return accept4(descriptor, NULL, NULL, SOCK_CLOEXEC); }

extern char **environ;

int weft_spawn_detached(const char *verb, const char *file, int writing, int ready, const char *variable) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *const arguments[] = {"weft", (char *)verb, "--", (char *)file, NULL};
    pid_t child = -1;
    if (setenv(variable, "1", 1) != 0) {
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    // POSIX_SPAWN_SETSID and the descriptor that dup2 makes without close-on-exec are what Swift's Glibc can't express.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    // First: `writing` may be one of the standard descriptors, where the caller had closed those.
    posix_spawn_file_actions_adddup2(&actions, writing, ready);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
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

static int ethtool(const char *name, void *command) {
    struct ifreq request = {0};
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result, error;
    if (any < 0) {
        return -1;
    }
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_data = command;
    result = ioctl(any, SIOCETHTOOL, &request);
    error = errno;
    close(any);
    errno = error;
    return result;
}

int weft_set_offload(const char *name, enum weft_ethtool offload, int on) {
    static const unsigned int commands[] = {
        [WEFT_ETHTOOL_RX_CHECKSUM] = ETHTOOL_SRXCSUM,
        [WEFT_ETHTOOL_TX_CHECKSUM] = ETHTOOL_STXCSUM,
        [WEFT_ETHTOOL_SCATTER_GATHER] = ETHTOOL_SSG,
        [WEFT_ETHTOOL_TSO] = ETHTOOL_STSO,
        [WEFT_ETHTOOL_GSO] = ETHTOOL_SGSO,
        [WEFT_ETHTOOL_GRO] = ETHTOOL_SGRO,
    };
    struct ethtool_value value = {.cmd = commands[offload], .data = on != 0};
    return ethtool(name, &value);
}

int weft_receive_queues(const char *name) {
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    if (ethtool(name, &channels) != 0) {
        return 1;
    }
    unsigned int queues = channels.combined_count + channels.rx_count;
    return queues > 0 ? (int)queues : 1;
}

int weft_unlimit_locked_memory(void) {
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

int weft_is_bpf_file_system(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == BPF_FS_MAGIC;
}

int weft_ethernet_address(const char *name, unsigned char *address) {
    struct ifreq request = {0};
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -1;
    }
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    int status = ioctl(descriptor, SIOCGIFHWADDR, &request);
    close(descriptor);
    if (status != 0 || request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
        return -1;
    }
    memcpy(address, request.ifr_hwaddr.sa_data, 6);
    return 0;
}

static void *open_links(void *argument) {
    int *result = argument;
    // The mounts go with the thread; what is open stays. EBUSY: what is mounted there is this network's already.
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        (mount("sysfs", "/sys", "sysfs", 0, NULL) != 0 && errno != EBUSY)) {
        return NULL;
    }
    *result = open("/sys/class/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return NULL;
}

int weft_open_links(void) {
    int descriptor = -1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, open_links, &descriptor) != 0) {
        return -1;
    }
    pthread_join(thread, NULL);
    return descriptor;
}

int weft_write_link_setting(int links, const char *name, const char *file, const char *word) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", name, file);
    int descriptor = openat(links, path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return -1;
    }
    ssize_t count = write(descriptor, word, strlen(word));
    close(descriptor);
    return count < 0 ? -1 : 0;
}
