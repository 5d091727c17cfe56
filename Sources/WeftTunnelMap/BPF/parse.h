// SPDX-License-Identifier: Apache-2.0
// What the classifier reads of a packet: nothing beyond the lengths that its headers state, or that the kernel has.
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "layout.h"

#define ETHERNET 14

/// A function of its own to the verifier, which reads it once instead of along each path to each call. Its pointers may
/// be null then, as far as the verifier knows.
#define SEPARATE __attribute__((noinline))

/// More extension headers than this and the flow goes by addresses.
#define EXTENSIONS 8

struct packet {
    struct weft_address source;
    struct weft_address destination;
    bool v6;
    /// Whether the flow has ports that could be read: TCP, UDP, SCTP, DCCP and UDP-Lite, no fragments.
    bool has_ports;
    __u8 protocol;
    /// DSCP and ECN.
    __u8 traffic_class;
    /// Where the transport's header begins in the IP packet; 0: it isn't here, as in fragments but the first.
    __u16 transport;
    __u16 source_port;
    __u16 destination_port;
};

static __always_inline bool protocol_has_ports(__u8 protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
           protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

/// Reads the ports at `offset` of the IP packet, if they lie before its `end`.
static __always_inline void read_ports(struct __sk_buff *skb, struct packet *packet, __u32 offset, __u32 end)
{
    __be16 ports[2];
    packet->transport = offset;
    if (!protocol_has_ports(packet->protocol) || offset + sizeof(ports) > end)
        return;
    if (bpf_skb_load_bytes(skb, ETHERNET + offset, ports, sizeof(ports)))
        return;
    packet->source_port = bpf_ntohs(ports[0]);
    packet->destination_port = bpf_ntohs(ports[1]);
    packet->has_ports = true;
}

/// 0: the packet is no IPv4.
SEPARATE int parse_v4(struct __sk_buff *skb, struct packet *packet)
{
    struct iphdr ip;
    if (!packet)
        return 0;
    __u32 present = skb->len - ETHERNET;
    if (bpf_skb_load_bytes(skb, ETHERNET, &ip, sizeof(ip)) || ip.version != 4)
        return 0;
    __u32 header = ip.ihl * 4;
    // A superpacket that is too long for the field has none.
    __u32 end = ip.tot_len ? bpf_ntohs(ip.tot_len) : present;
    if (header < sizeof(ip) || end < header || present < header)
        return 0;
    if (end > present)
        end = present;
    packet->v6 = false;
    packet->source.high = bpf_cpu_to_be64((__u64)bpf_ntohl(ip.saddr) << 32);
    packet->destination.high = bpf_cpu_to_be64((__u64)bpf_ntohl(ip.daddr) << 32);
    packet->protocol = ip.protocol;
    packet->traffic_class = ip.tos;
    if (!(ip.frag_off & bpf_htons(0x3FFF)))
        read_ports(skb, packet, header, end);
    return 1;
}

/// 0: the packet is no IPv6.
SEPARATE int parse_v6(struct __sk_buff *skb, struct packet *packet)
{
    struct ipv6hdr ip;
    if (!packet)
        return 0;
    __u32 present = skb->len - ETHERNET;
    if (bpf_skb_load_bytes(skb, ETHERNET, &ip, sizeof(ip)) || ip.version != 6)
        return 0;
    __u32 offset = sizeof(ip);
    // As for IPv4, and a jumbogram has none either.
    __u32 end = ip.payload_len ? sizeof(ip) + bpf_ntohs(ip.payload_len) : present;
    if (end > present)
        end = present;
    packet->v6 = true;
    __builtin_memcpy(&packet->source, &ip.saddr, sizeof(ip.saddr));
    __builtin_memcpy(&packet->destination, &ip.daddr, sizeof(ip.daddr));
    packet->traffic_class = ip.priority << 4 | ip.flow_lbl[0] >> 4;
    packet->protocol = ip.nexthdr;
    for (int i = 0; i < EXTENSIONS; i++) {
        struct {
            __u8 next;
            __u8 length;
            __be16 fragment;
        } extension;
        __u8 kind = packet->protocol;
        if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_DSTOPTS &&
            kind != IPPROTO_FRAGMENT && kind != IPPROTO_AH)
            break;
        if (offset + 8 > end || bpf_skb_load_bytes(skb, ETHERNET + offset, &extension, sizeof(extension)))
            return 1;
        // One that is whole but has this header (RFC 6946) is none.
        if (kind == IPPROTO_FRAGMENT && extension.fragment & bpf_htons(0xFFF9))
            return 1;
        packet->protocol = extension.next;
        offset += kind == IPPROTO_FRAGMENT ? 8 : kind == IPPROTO_AH ? (extension.length + 2) * 4
                                                                      : (extension.length + 1) * 8;
    }
    read_ports(skb, packet, offset, end);
    return 1;
}

/// Whether the destination is one that a route leads to, rather than a link's own.
static __always_inline bool is_routable(const struct packet *packet)
{
    __u64 high = bpf_be64_to_cpu(packet->destination.high);
    if (!packet->v6)
        return high >> 60 < 0xE;
    return high >> 56 != 0xFF && high >> 54 != 0x3FA;
}

/// Whether it is a health probe or the answer to one, of our own agent: only that may set such a mark.
static __always_inline bool is_probe(const struct __sk_buff *skb, const struct packet *packet)
{
    return (skb->mark & WEFT_MARK_MASK) == WEFT_MARK_PROBE && packet->has_ports && packet->protocol == IPPROTO_UDP &&
           (packet->destination_port == WEFT_PORT_PROBE || packet->source_port == WEFT_PORT_PROBE);
}
