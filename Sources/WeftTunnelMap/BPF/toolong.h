// SPDX-License-Identifier: Apache-2.0
// What is too long for the underlay is answered: fragmentation needed (RFC 1191), or packet too big (RFC 8201).
#pragma once
#include <linux/pkt_cls.h>
#include "geneve.h"

// linux/icmp.h draws in headers of the C library.
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_FRAGMENTATION_NEEDED 4
#define ICMP_ECHO 8
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMP_REPLY 14
#define ICMPV6_PACKET_TOO_BIG 2
/// All below are errors.
#define ICMPV6_QUERIES 128

/// How much of a packet is quoted, in bytes: its headers, and for TCP what the kernel has left to checksum. A multiple of 4.
#define QUOTE 128
/// IPv6 is told no less (RFC 8200 section 5).
#define MINIMUM_V6 1280

/// How long an IP packet may be, where this one is longer; else -1.
static __always_inline int room_for(
    struct __sk_buff *skb, const struct weft_nexthop *nexthop, const struct packet *packet)
{
    __u32 mtu = 0;
    __u32 length = skb->len - ETHERNET;
    __u32 overhead = sizeof(struct inner_headers) +
                     (nexthop->flags & WEFT_NEXTHOP_UNDERLAY_V6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
    if (bpf_check_mtu(skb, nexthop->interface, &mtu, 0, 0) < 0)
        return -1;
    // Of a superpacket each segment is sent by itself.
    if (skb->gso_size) {
        __u32 header = sizeof(struct udphdr);
        __u8 words;
        if (packet->protocol == IPPROTO_TCP) {
            if (bpf_skb_load_bytes(skb, ETHERNET + packet->transport + 12, &words, 1))
                return -1;
            header = (words >> 4) * 4;
        }
        length = packet->transport + header + skb->gso_size;
    }
    if (length + overhead <= mtu)
        return -1;
    return mtu > overhead ? mtu - overhead : 0;
}

/// Whether an error may be sent for it: none is for an error, nor for a later fragment of IPv4 (RFC 1122 section 3.2.2, RFC 4443
/// section 2.4), nor to nobody.
static __always_inline bool may_answer(struct __sk_buff *skb, const struct packet *packet)
{
    __u64 source = bpf_be64_to_cpu(packet->source.high);
    __be16 fragment = 0;
    __u8 type;
    if (packet->v6 ? source >> 56 == 0xFF || (!source && bpf_be64_to_cpu(packet->source.low) <= 1)
                   : source >> 60 >= 0xE || source >> 56 == 0 || source >> 56 == 127)
        return false;
    if (!packet->v6 && (bpf_skb_load_bytes(skb, ETHERNET + 6, &fragment, 2) || fragment & bpf_htons(0x1FFF)))
        return false;
    if (packet->protocol != (packet->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || !packet->transport)
        return true;
    if (bpf_skb_load_bytes(skb, ETHERNET + packet->transport, &type, 1))
        return false;
    return packet->v6 ? type >= ICMPV6_QUERIES
                      : type == ICMP_ECHO || type == ICMP_ECHO_REPLY || type == ICMP_TIMESTAMP ||
                            type == ICMP_TIMESTAMP_REPLY;
}

struct message {
    __u8 type;
    __u8 code;
    __be16 checksum;
    __be32 mtu;
    __u8 quote[QUOTE];
};

static __always_inline __u16 fold(__u64 sum)
{
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    return ~sum;
}

/// Turns the packet into the message that tells its sender, in the name of its destination as an address of ours would be no
/// answer's, and lets it come in where the packet went out. It is dropped where no message may be sent.
SEPARATE int answer_too_long(struct __sk_buff *skb, const struct packet *packet, __u32 room)
{
    struct message message = {};
    struct ethhdr ethernet;
    if (!packet || !may_answer(skb, packet) || skb->len < ETHERNET + QUOTE)
        return TC_ACT_SHOT;
    bool v6 = packet->v6;
    __u32 network = v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
    __u32 total = 8 + QUOTE;
    if (bpf_skb_load_bytes(skb, ETHERNET, message.quote, QUOTE) || bpf_skb_load_bytes(skb, 0, &ethernet, ETHERNET))
        return TC_ACT_SHOT;
    if (bpf_skb_change_tail(skb, ETHERNET + QUOTE, 0) ||
        bpf_skb_adjust_room(skb, network + 8, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
        return TC_ACT_SHOT;
    __u8 mac[ETH_ALEN];
    __builtin_memcpy(mac, ethernet.h_dest, ETH_ALEN);
    __builtin_memcpy(ethernet.h_dest, ethernet.h_source, ETH_ALEN);
    __builtin_memcpy(ethernet.h_source, mac, ETH_ALEN);
    if (bpf_skb_store_bytes(skb, 0, &ethernet, ETHERNET, 0))
        return TC_ACT_SHOT;
    if (v6) {
        struct ipv6hdr ip = {
            .version = 6,
            .payload_len = bpf_htons(total),
            .nexthdr = IPPROTO_ICMPV6,
            .hop_limit = HOP_LIMIT,
        };
        __builtin_memcpy(&ip.saddr, &packet->destination, sizeof(ip.saddr));
        __builtin_memcpy(&ip.daddr, &packet->source, sizeof(ip.daddr));
        message.type = ICMPV6_PACKET_TOO_BIG;
        message.mtu = bpf_htonl(room < MINIMUM_V6 ? MINIMUM_V6 : room);
        __s64 sum = bpf_csum_diff(0, 0, (__be32 *)&ip.saddr, 32, bpf_htonl(total + IPPROTO_ICMPV6));
        message.checksum = fold((__u32)bpf_csum_diff(0, 0, (__be32 *)&message, sizeof(message), sum));
        if (bpf_skb_store_bytes(skb, ETHERNET, &ip, sizeof(ip), 0))
            return TC_ACT_SHOT;
    } else {
        struct iphdr ip = {
            .version = 4,
            .ihl = 5,
            .tos = 0xC0,
            .tot_len = bpf_htons(network + total),
            .ttl = HOP_LIMIT,
            .protocol = IPPROTO_ICMP,
            .saddr = bpf_htonl(bpf_be64_to_cpu(packet->destination.high) >> 32),
            .daddr = bpf_htonl(bpf_be64_to_cpu(packet->source.high) >> 32),
        };
        ip.check = header_checksum(&ip);
        message.type = ICMP_UNREACHABLE;
        message.code = ICMP_FRAGMENTATION_NEEDED;
        message.mtu = bpf_htonl(room);
        message.checksum = fold((__u32)bpf_csum_diff(0, 0, (__be32 *)&message, sizeof(message), 0));
        if (bpf_skb_store_bytes(skb, ETHERNET, &ip, sizeof(ip), 0))
            return TC_ACT_SHOT;
    }
    if (bpf_skb_store_bytes(skb, ETHERNET + network, &message, 8, 0))
        return TC_ACT_SHOT;
    return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}
