// SPDX-License-Identifier: Apache-2.0
// The ceiling for packets per second over AF_XDP: moves frames between queue 0 of two Ethernet devices, both ways, by
// their descriptors, and looks at none of them. One memory is registered with a socket on each device; copy mode.
//
//   bridge DEVICE DEVICE
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

enum { RING = 1024, FRAMES = 4 * RING, FRAME = 2048, BATCH = 64 };

struct ring {
    uint32_t *producer, *consumer, *flags, position;
    void *entries;
};

struct port {
    int socket;
    struct ring fill, completion, receive, transmit;
};

static char *memory;
static uint64_t free_frames[FRAMES];
static int free_count;

static void die(const char *what) {
    fprintf(stderr, "bridge: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int bpf(int command, union bpf_attr *attributes) {
    return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

// Sends each frame to the socket of its queue.
static void attach(const char *device, int socket) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
    int sockets = bpf(BPF_MAP_CREATE, &map);
    if (sockets < 0) die("make a map");
    struct bpf_insn program[] = {
        {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = 16},
        {.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = sockets},
        {0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_DROP},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = 6, .insns = (uintptr_t)program,
                           .license = (uintptr_t) "GPL"};
    int loaded = bpf(BPF_PROG_LOAD, &load);
    if (loaded < 0) die("load a program");
    uint32_t queue = 0;
    union bpf_attr update = {.map_fd = sockets, .key = (uintptr_t)&queue, .value = (uintptr_t)&socket};
    if (bpf(BPF_MAP_UPDATE_ELEM, &update) < 0) die("enter the socket");
    union bpf_attr link = {.link_create = {.prog_fd = loaded, .target_ifindex = if_nametoindex(device),
                                           .attach_type = BPF_XDP, .flags = XDP_FLAGS_DRV_MODE}};
    if (bpf(BPF_LINK_CREATE, &link) < 0) die(device);
}

static struct ring map(int socket, const struct xdp_ring_offset *offset, off_t page, size_t entry) {
    char *base = mmap(NULL, offset->desc + RING * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket, page);
    if (base == MAP_FAILED) die("map a ring");
    return (struct ring){(void *)(base + offset->producer), (void *)(base + offset->consumer),
                         (void *)(base + offset->flags), 0, base + offset->desc};
}

static struct port make_port(const char *device) {
    struct port port = {.socket = socket(AF_XDP, SOCK_RAW, 0)};
    struct xdp_umem_reg region = {.addr = (uintptr_t)memory, .len = (uint64_t)FRAMES * FRAME, .chunk_size = FRAME};
    struct xdp_mmap_offsets offsets;
    socklen_t length = sizeof(offsets);
    int size = RING, buffer = 8 << 20;
    if (port.socket < 0 || setsockopt(port.socket, SOL_XDP, XDP_UMEM_REG, &region, sizeof(region)) != 0) die("memory");
    for (int ring = XDP_RX_RING; ring <= XDP_UMEM_COMPLETION_RING; ring++) {
        if (ring != XDP_UMEM_REG && setsockopt(port.socket, SOL_XDP, ring, &size, sizeof(size)) != 0) die("rings");
    }
    if (getsockopt(port.socket, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) die("offsets");
    port.fill = map(port.socket, &offsets.fr, (off_t)XDP_UMEM_PGOFF_FILL_RING, 8);
    port.completion = map(port.socket, &offsets.cr, (off_t)XDP_UMEM_PGOFF_COMPLETION_RING, 8);
    port.receive = map(port.socket, &offsets.rx, XDP_PGOFF_RX_RING, sizeof(struct xdp_desc));
    port.transmit = map(port.socket, &offsets.tx, XDP_PGOFF_TX_RING, sizeof(struct xdp_desc));
    setsockopt(port.socket, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &size, sizeof(size));
    setsockopt(port.socket, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
    struct sockaddr_xdp address = {.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
                                   .sxdp_ifindex = if_nametoindex(device)};
    if (bind(port.socket, (struct sockaddr *)&address, sizeof(address)) != 0) die(device);
    attach(device, port.socket);
    return port;
}

static uint32_t load(uint32_t *index) { return __atomic_load_n(index, __ATOMIC_ACQUIRE); }
static void store(uint32_t *index, uint32_t value) { __atomic_store_n(index, value, __ATOMIC_RELEASE); }

static void recycle(struct port *port) {
    uint32_t end = load(port->completion.producer);
    while (port->completion.position != end) {
        free_frames[free_count++] = ((uint64_t *)port->completion.entries)[port->completion.position++ % RING];
    }
    store(port->completion.consumer, end);
    uint32_t room = RING - (port->fill.position - load(port->fill.consumer));
    while (room-- > 0 && free_count > 0) {
        ((uint64_t *)port->fill.entries)[port->fill.position++ % RING] = free_frames[--free_count] & ~(FRAME - 1ULL);
    }
    store(port->fill.producer, port->fill.position);
}

static int move(struct port *from, struct port *to) {
    uint32_t end = load(from->receive.producer);
    uint32_t room = RING - (to->transmit.position - load(to->transmit.consumer));
    int moved = 0;
    for (; from->receive.position != end && moved < BATCH; moved++) {
        struct xdp_desc frame = ((struct xdp_desc *)from->receive.entries)[from->receive.position++ % RING];
        if (room == 0) {
            free_frames[free_count++] = frame.addr;
            continue;
        }
        room--;
        ((struct xdp_desc *)to->transmit.entries)[to->transmit.position++ % RING] = frame;
    }
    store(from->receive.consumer, from->receive.position);
    store(to->transmit.producer, to->transmit.position);
    if (to->transmit.position != load(to->transmit.consumer)) {
        sendto(to->socket, NULL, 0, MSG_DONTWAIT, NULL, 0);
    }
    return moved;
}

int main(int count, char **arguments) {
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    if (count != 3) {
        fprintf(stderr, "usage: bridge DEVICE DEVICE\n");
        return 2;
    }
    setrlimit(RLIMIT_MEMLOCK, &unlimited);
    memory = mmap(NULL, (size_t)FRAMES * FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) die("memory");
    for (free_count = 0; free_count < FRAMES; free_count++) free_frames[free_count] = (uint64_t)free_count * FRAME;
    struct port one = make_port(arguments[1]), other = make_port(arguments[2]);
    for (;;) {
        recycle(&one);
        recycle(&other);
        if (move(&one, &other) + move(&other, &one) > 0) continue;
        struct pollfd sockets[] = {{one.socket, POLLIN, 0}, {other.socket, POLLIN, 0}};
        poll(sockets, 2, 100);
    }
}
