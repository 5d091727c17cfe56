// SPDX-License-Identifier: Apache-2.0
// The kernel's macros and structures that Swift can't import.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>


/// TUNSETIFF: its number is built by a macro with a cast.
static inline int weft_tun_attach(int descriptor, struct ifreq *request) {
    return ioctl(descriptor, TUNSETIFF, request);
}
