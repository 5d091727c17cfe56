// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "Descriptors.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

union space {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * WEFT_MOST_DESCRIPTORS)];
};

ssize_t weft_send_descriptors(int socket, const void *bytes, size_t count, const int *descriptors, unsigned int number) {
    union space space;
    struct iovec part = {(void *)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;
    if (number > WEFT_MOST_DESCRIPTORS) {
        errno = EINVAL;
        return -1;
    }
    if (number > 0) {
        memset(&space, 0, sizeof(space));
        message.msg_control = space.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * number);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * number);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * number);
    }
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

ssize_t weft_receive_descriptors(int socket, void *bytes, size_t count, int *descriptors, unsigned int *number, int flags) {
    union space space;
    struct iovec part = {bytes, count};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof(space.bytes)};
    unsigned int room = *number;
    ssize_t got;
    *number = 0;
    do {
        got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return got;
    }
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < came; index++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof(int));
            if (*number < room) {
                descriptors[(*number)++] = descriptor;
            } else {
                close(descriptor);
            }
        }
    }
    return got;
}

int weft_peer_user(int socket, uid_t *user) {
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return -1;
    }
    *user = peer.uid;
    return 0;
}

int weft_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int weft_seal(int descriptor) {
    return fcntl(descriptor, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

int weft_duplicate_above(int descriptor, int least) { return fcntl(descriptor, F_DUPFD_CLOEXEC, least + 1); }

int weft_silence(void) {
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC), result = 0;
    if (nowhere < 0) {
        return -1;
    }
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++) {
        if (dup2(nowhere, standard) < 0) {
            result = -1;
        }
    }
    if (nowhere > STDERR_FILENO) {
        close(nowhere);
    }
    return result;
}

int weft_exit_status(const void *information) { return ((const siginfo_t *)information)->si_status; }
