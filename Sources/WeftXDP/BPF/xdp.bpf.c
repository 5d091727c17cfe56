// SPDX-License-Identifier: Apache-2.0
// Which frames go to AF_XDP sockets: on the underlay Weft's own Geneve data, on the overlay everything.
//
// Whatever isn't plainly ours stays the kernel's: fragments, tagged frames, other tunnels' Geneve and the protocols
// that share the port.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Queues of a device; AF_XDP sockets by their queue's number.
#define MOST_QUEUES 64
#define MOST_ADDRESSES 1024

// Geneve (RFC 8926): version and option length, flags, protocol. Weft's two options take six words.
#define GENEVE_LENGTH 8
#define GENEVE_VERSION 0xC0
#define GENEVE_WORDS 0x3F
#define GENEVE_CRITICAL 0x40
#define LEAST_WORDS 6

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, MOST_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} underlay_sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, MOST_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} overlay_sockets SEC(".maps");

// An address of ours: IPv4 as IPv4-mapped IPv6, in network order.
struct address {
    __u32 words[4];
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, MOST_ADDRESSES);
    __type(key, struct address);
    __type(value, __u8);
} addresses SEC(".maps");

// port: of our datagrams, in network order. longest: what a frame of the UMEM has room for, in bytes.
struct settings {
    __u32 port;
    __u32 longest;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct settings);
} settings SEC(".maps");

enum counter { UNDERLAY_NO_SOCKET, OVERLAY_NO_SOCKET, OVERLAY_TOO_LONG, COUNTERS };

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

static __always_inline int drop(enum counter counter) {
    __u32 key = counter;
    __u64 *count = bpf_map_lookup_elem(&counters, &key);
    if (count) {
        *count += 1;
    }
    return XDP_DROP;
}

// Whether a Geneve header says that it carries our data. QUIC, STUN, discovery and WireGuard on the same port have
// another version, a reserved bit, or fewer options.
static __always_inline int is_data(const __u8 *geneve) {
    __u16 protocol = (__u16)geneve[2] << 8 | geneve[3];
    return !(geneve[0] & GENEVE_VERSION) && (geneve[0] & GENEVE_WORDS) >= LEAST_WORDS &&
           !(geneve[1] & ~GENEVE_CRITICAL) &&
           (protocol == ETH_P_IP || protocol == ETH_P_IPV6 || protocol == 0);
}

SEC("xdp")
int underlay(struct xdp_md *context) {
    void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    struct ethhdr *ethernet = data;
    struct address destination = {};
    struct udphdr *udp;
    __u32 zero = 0;
    struct settings *settings_now = bpf_map_lookup_elem(&settings, &zero);
    if (!settings_now || (void *)(ethernet + 1) > end) {
        return XDP_PASS;
    }
    if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_UDP ||
            (ip->frag_off & bpf_htons(0x3FFF))) {
            return XDP_PASS;
        }
        destination.words[2] = bpf_htonl(0xFFFF);
        destination.words[3] = ip->daddr;
        udp = (void *)ip + ip->ihl * 4;
    } else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP) {
            return XDP_PASS;
        }
        __builtin_memcpy(&destination, &ip->daddr, sizeof(destination));
        udp = (void *)(ip + 1);
    } else {
        return XDP_PASS;
    }
    if ((void *)(udp + 1) + GENEVE_LENGTH > end || udp->dest != (__be16)settings_now->port ||
        !is_data((void *)(udp + 1)) || !bpf_map_lookup_elem(&addresses, &destination)) {
        return XDP_PASS;
    }
    // A superpacket that a virtual device hands over whole: the kernel cuts it for its socket.
    if (end - data > settings_now->longest) {
        return XDP_PASS;
    }
    if (bpf_redirect_map(&underlay_sockets, context->rx_queue_index, XDP_DROP) == XDP_DROP) {
        return drop(UNDERLAY_NO_SOCKET);
    }
    return XDP_REDIRECT;
}

SEC("xdp")
int overlay(struct xdp_md *context) {
    void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    __u32 zero = 0;
    struct settings *settings_now = bpf_map_lookup_elem(&settings, &zero);
    if (settings_now && end - data > settings_now->longest) {
        return drop(OVERLAY_TOO_LONG);
    }
    if (bpf_redirect_map(&overlay_sockets, context->rx_queue_index, XDP_DROP) == XDP_DROP) {
        return drop(OVERLAY_NO_SOCKET);
    }
    return XDP_REDIRECT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
