// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "PrivateNamespace.h"
#include "Descriptors.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

// From here on everything runs in a copy of a process that may have had threads: locks may be held for ever by threads that
// aren't there. So nothing may allocate, print, or look anything up.

enum { CHANNEL = 3 };

struct keeper {
    const struct weft_private_command *command;
    /// Of the command; -1 where none runs.
    int pidfd;
};

static int write_file(const char *path, const char *text, size_t count) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t written;
    if (file < 0) {
        return -1;
    }
    written = write(file, text, count);
    int error = errno;
    close(file);
    errno = error;
    return written == (ssize_t)count ? 0 : -1;
}

/// The line that maps `number` to itself. Returns its length.
static size_t map_line(unsigned long number, char *line) {
    char digits[20];
    size_t count = 0, at = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (int twice = 0; twice < 2; twice++) {
        for (size_t index = count; index > 0; index--) {
            line[at++] = digits[index - 1];
        }
        line[at++] = ' ';
    }
    line[at++] = '1';
    return at;
}

static int raise_loopback(void) {
    struct ifreq request;
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (any < 0) {
        return -1;
    }
    memset(&request, 0, sizeof(request));
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP;
    int result = ioctl(any, SIOCSIFFLAGS, &request), error = errno;
    close(any);
    errno = error;
    return result;
}

/// Enters the namespaces. Returns the step that failed, with errno set.
static enum weft_private_step enter(uid_t user, gid_t group) {
    char line[64];
    // /proc/self belongs to root for who keeps himself out of core dumps.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (unshare(CLONE_NEWUSER) != 0) {
        return WEFT_PRIVATE_USER;
    }
    // Without this nobody but root may map a group. Kernels before 3.19 have no such file.
    if (write_file("/proc/self/setgroups", "deny", 4) != 0 && errno != ENOENT) {
        return WEFT_PRIVATE_GROUPS;
    }
    if (write_file("/proc/self/uid_map", line, map_line(user, line)) != 0) {
        return WEFT_PRIVATE_USER_MAP;
    }
    if (write_file("/proc/self/gid_map", line, map_line(group, line)) != 0) {
        return WEFT_PRIVATE_GROUP_MAP;
    }
    // It has a copy of its maker's memory, which is nobody's business.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (unshare(CLONE_NEWNET) != 0) {
        return WEFT_PRIVATE_NETWORK;
    }
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return WEFT_PRIVATE_MOUNTS;
    }
    return raise_loopback() != 0 ? WEFT_PRIVATE_LOOPBACK : WEFT_PRIVATE_READY;
}

static int open_queue(const struct weft_private_request *request) {
    struct ifreq device;
    int queue = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (queue < 0) {
        return -1;
    }
    memset(&device, 0, sizeof(device));
    memcpy(device.ifr_name, request->text, strnlen(request->text, IFNAMSIZ - 1));
    device.ifr_flags = (short)request->type;
    if (ioctl(queue, TUNSETIFF, &device) != 0) {
        int error = errno;
        close(queue);
        errno = error;
        return -1;
    }
    return queue;
}

static int open_socket(const struct weft_private_request *request) {
    int one = 1;
    int made = socket(request->domain, request->type | SOCK_CLOEXEC, request->protocol);
    if (made < 0 || request->address_length == 0) {
        return made;
    }
    if (request->domain != AF_NETLINK) {
        setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    // Of its own family alone, so that one port can be each family's.
    if (request->domain == AF_INET6) {
        setsockopt(made, SOL_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    if (bind(made, (const struct sockaddr *)request->address, request->address_length) != 0) {
        int error = errno;
        close(made);
        errno = error;
        return -1;
    }
    return made;
}

/// Lays a file of the command's own over one of the host's. Where that can't be the command sees the host's.
static void cover(const struct weft_private_command *command) {
    char path[256];
    size_t length = command->folder ? strnlen(command->folder, sizeof(path)) : 0;
    if (length == 0 || length > sizeof(path) - 4 || mount("weft", command->folder, "tmpfs", MS_NOSUID | MS_NODEV, NULL)) {
        return;
    }
    memcpy(path, command->folder, length);
    memcpy(path + length, "/f", 3);
    for (const struct weft_private_file *file = command->files; file && file->path; file++) {
        int made = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (made < 0) {
            continue;
        }
        size_t count = strlen(file->content);
        // A folder's file covers one path at most: it is another one for the next.
        if (write(made, file->content, count) == (ssize_t)count) {
            mount(path, file->path, NULL, MS_BIND, NULL);
        }
        close(made);
        unlink(path);
    }
    if (command->hidden) {
        mount("weft", command->hidden, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
    }
    umount2(command->folder, MNT_DETACH);
}

static int run(struct keeper *keeper) {
    const struct weft_private_command *command = keeper->command;
    int pidfd = -1;
    if (!command || keeper->pidfd >= 0) {
        errno = EINVAL;
        return -1;
    }
    pid_t process = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, 0);
    if (process == 0) {
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigset_t none;
        cover(command);
        for (int signal = 1; signal < 32; signal++) {
            sigaction(signal, &plain, NULL);
        }
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        // It has no network without us.
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        close(CHANNEL);
        execve(command->program, command->arguments, command->environment);
        // As shells say it.
        _exit(errno == ENOENT ? 127 : 126);
    }
    if (process < 0) {
        return -1;
    }
    keeper->pidfd = pidfd;
    return pidfd;
}

static int wait_for(struct keeper *keeper) {
    siginfo_t information;
    memset(&information, 0, sizeof(information));
    if (keeper->pidfd < 0 || waitid((idtype_t)P_PIDFD, (id_t)keeper->pidfd, &information, WEXITED) != 0) {
        return -1;
    }
    close(keeper->pidfd);
    keeper->pidfd = -1;
    return information.si_code == CLD_EXITED ? information.si_status : 128 + information.si_status;
}

static ssize_t read_file(const char *path, char *text, size_t room) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -1;
    }
    ssize_t count = read(file, text, room);
    close(file);
    return count;
}

/// Does what is asked. `descriptors` gets what goes with the answer; returns how many.
static unsigned int answer(
    struct keeper *keeper, const struct weft_private_request *request, struct weft_private_reply *reply, int *descriptors) {
    unsigned int count = 0;
    ssize_t result = 0;
    size_t name;
    errno = 0;
    switch (request->kind) {
    case WEFT_PRIVATE_TUN:
        while (count < request->number && count < WEFT_MOST_DESCRIPTORS && result >= 0) {
            struct weft_private_request next = *request;
            // The others join what the first one makes.
            if (count > 0) {
                next.type &= ~IFF_TUN_EXCL;
            }
            result = descriptors[count] = open_queue(&next);
            count += result >= 0;
        }
        break;
    case WEFT_PRIVATE_SOCKET:
        result = descriptors[0] = open_socket(request);
        count = result >= 0;
        break;
    case WEFT_PRIVATE_READ:
        result = read_file(request->text, reply->text, sizeof(reply->text) - 1);
        break;
    case WEFT_PRIVATE_WRITE:
        name = strnlen(request->text, sizeof(request->text) - 1);
        result = write_file(
            request->text, request->text + name + 1, strnlen(request->text + name + 1, sizeof(request->text) - 1 - name));
        break;
    case WEFT_PRIVATE_RUN:
        result = descriptors[0] = run(keeper);
        count = result >= 0;
        break;
    case WEFT_PRIVATE_WAIT:
        result = wait_for(keeper);
        break;
    case WEFT_PRIVATE_SIGNAL:
        result = keeper->pidfd < 0
            ? 0
            : syscall(SYS_pidfd_send_signal, keeper->pidfd, (int)request->number, NULL, 0);
        break;
    default:
        errno = EINVAL;
        result = -1;
    }
    reply->error = result < 0 ? errno : 0;
    reply->value = (int32_t)result;
    return count;
}

static void serve(struct keeper *keeper) {
    for (;;) {
        struct weft_private_request request;
        struct weft_private_reply reply;
        int descriptors[WEFT_MOST_DESCRIPTORS];
        unsigned int none = 0;
        memset(&request, 0, sizeof(request));
        memset(&reply, 0, sizeof(reply));
        ssize_t count = weft_receive_descriptors(CHANNEL, &request, sizeof(request), descriptors, &none, 0);
        if (count <= 0) {
            return;
        }
        request.text[sizeof(request.text) - 1] = 0;
        if (count != sizeof(request) || request.address_length > sizeof(request.address)) {
            request.kind = 0;
        }
        unsigned int number = answer(keeper, &request, &reply, descriptors);
        ssize_t sent = weft_send_descriptors(
            CHANNEL, &reply, sizeof(reply), descriptors, reply.error == 0 ? number : 0);
        for (unsigned int index = 0; index < number; index++) {
            if (descriptors[index] != keeper->pidfd) {
                close(descriptors[index]);
            }
        }
        if (sent < 0) {
            return;
        }
    }
}

static void keep(int channel, uid_t user, gid_t group, const struct weft_private_command *command) {
    struct keeper keeper = {command, -1};
    struct weft_private_reply first;
    struct sigaction plain = {.sa_handler = SIG_DFL};
    memset(&first, 0, sizeof(first));
    // What ignores its children can't wait for them.
    sigaction(SIGCHLD, &plain, NULL);
    // Nothing of its maker's stays open in here: what closes there is to be closed.
    if (dup2(channel, CHANNEL) != CHANNEL || syscall(SYS_close_range, CHANNEL + 1, ~0U, 0) != 0) {
        return;
    }
    first.value = enter(user, group);
    first.error = first.value == WEFT_PRIVATE_READY ? 0 : errno;
    if (weft_send_descriptors(CHANNEL, &first, sizeof(first), NULL, 0) < 0 || first.error != 0) {
        return;
    }
    prctl(PR_SET_NAME, "weft-private", 0, 0, 0);
    serve(&keeper);
    if (keeper.pidfd >= 0) {
        // Its network ends with us.
        syscall(SYS_pidfd_send_signal, keeper.pidfd, SIGKILL, NULL, 0);
    }
}

int weft_private_start(const struct weft_private_command *command, int *channel, int *pidfd) {
    int ends[2];
    sigset_t all, before;
    uid_t user = geteuid();
    gid_t group = getegid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    // No handler of ours may run in there: and what a terminal sends to all is for us.
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    // No signal at its end: whoever waits for children of his own needn't know of it. Not PR_SET_PDEATHSIG either, which counts
    // the end of the thread that is here now for ours.
    pid_t process = (pid_t)syscall(SYS_clone, CLONE_PIDFD, NULL, pidfd, NULL, 0);
    if (process == 0) {
        keep(ends[1], user, group, command);
        _exit(0);
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (process < 0) {
        close(ends[0]);
        errno = error;
        return -1;
    }
    *channel = ends[0];
    return 0;
}

int weft_private_reap(int pidfd) {
    siginfo_t information;
    int result;
    do {
        result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &information, WEXITED | __WALL);
    } while (result != 0 && errno == EINTR);
    return result;
}
