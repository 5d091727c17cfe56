// SPDX-License-Identifier: Apache-2.0
// Geneve (RFC 8926) without a device: an Ethernet frame inside, as the kernel's own devices have it.
#pragma once
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include "choose.h"

// Newer than Debian 12's headers.
#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV4
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#endif

#define HOP_LIMIT 64
#define ETHERTYPE_ETHERNET 0x6558

struct geneve {
    /// Version in the top two bits, then the options' length in words.
    __u8 options;
    /// 0x80: control; 0x40: critical options.
    __u8 flags;
    __be16 protocol;
    /// The VNI in the first three bytes.
    __be32 vni;
};

struct inner_headers {
    struct udphdr udp;
    struct geneve geneve;
    struct ethhdr ethernet;
} __attribute__((packed));

/// 02, the address's last four bytes, FF.
static __always_inline void derive_mac(__u8 *mac, const struct weft_address *address, bool v6)
{
    __u32 last = (__u32)bpf_be64_to_cpu(address->low);
    if (!v6)
        last = bpf_be64_to_cpu(address->high) >> 32;
    mac[0] = 0x02;
    mac[1] = last >> 24;
    mac[2] = last >> 16;
    mac[3] = last >> 8;
    mac[4] = last;
    mac[5] = 0xFF;
}

static __always_inline __u16 header_checksum(const struct iphdr *ip)
{
    __u32 sum = bpf_csum_diff(0, 0, (__be32 *)ip, sizeof(*ip), 0);
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    return ~sum;
}

/// Puts the outer headers in front; the frame then begins with the outer Ethernet header, which is left to the neighbour
/// lookup.
static __always_inline int encapsulate(
    struct __sk_buff *skb, const struct weft_nexthop *nexthop, const struct packet *packet, __u64 flow)
{
    bool v6 = nexthop->flags & WEFT_NEXTHOP_UNDERLAY_V6;
    struct inner_headers inner = {};
    __u32 network = v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
                  BPF_F_ADJ_ROOM_ENCAP_L2((__u64)ETHERNET);
    flags |= v6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
    if (bpf_skb_adjust_room(skb, network + sizeof(inner), BPF_ADJ_ROOM_MAC, flags))
        return -1;

    __u32 length = skb->len - ETHERNET - network;
    // From 49152 on, as RFC 8926 section 3.3 asks.
    inner.udp.source = bpf_htons(0xC000 | (finish(flow) & 0x3FFF));
    inner.udp.dest = bpf_htons(WEFT_PORT_GENEVE);
    // A superpacket's lengths are the segmentation's to set. The checksum stays zero (RFC 6935 for IPv6).
    inner.udp.len = bpf_htons(length);
    inner.geneve.protocol = bpf_htons(ETHERTYPE_ETHERNET);
    inner.geneve.vni = bpf_htonl(nexthop->vni << 8);
    derive_mac(inner.ethernet.h_dest, &nexthop->remote, v6);
    derive_mac(inner.ethernet.h_source, &nexthop->local, v6);
    inner.ethernet.h_proto = bpf_htons(packet->v6 ? ETH_P_IPV6 : ETH_P_IP);
    if (bpf_skb_store_bytes(skb, ETHERNET + network, &inner, sizeof(inner), 0))
        return -1;

    __be16 ethertype = bpf_htons(v6 ? ETH_P_IPV6 : ETH_P_IP);
    if (bpf_skb_store_bytes(skb, 12, &ethertype, sizeof(ethertype), 0))
        return -1;
    if (v6) {
        struct ipv6hdr ip = {
            .version = 6,
            .priority = packet->traffic_class >> 4,
            .payload_len = bpf_htons(length),
            .nexthdr = IPPROTO_UDP,
            .hop_limit = HOP_LIMIT,
        };
        ip.flow_lbl[0] = packet->traffic_class << 4 | (flow >> 16 & 0x0F);
        ip.flow_lbl[1] = flow >> 8;
        ip.flow_lbl[2] = flow;
        __builtin_memcpy(&ip.saddr, &nexthop->local, sizeof(ip.saddr));
        __builtin_memcpy(&ip.daddr, &nexthop->remote, sizeof(ip.daddr));
        return bpf_skb_store_bytes(skb, ETHERNET, &ip, sizeof(ip), 0);
    }
    struct iphdr ip = {
        .version = 4,
        .ihl = 5,
        .tos = packet->traffic_class,
        .tot_len = bpf_htons(network + length),
        .frag_off = bpf_htons(0x4000),
        .ttl = HOP_LIMIT,
        .protocol = IPPROTO_UDP,
        .saddr = bpf_htonl(bpf_be64_to_cpu(nexthop->local.high) >> 32),
        .daddr = bpf_htonl(bpf_be64_to_cpu(nexthop->remote.high) >> 32),
    };
    ip.check = header_checksum(&ip);
    return bpf_skb_store_bytes(skb, ETHERNET, &ip, sizeof(ip), 0);
}

/// What an outer header says, or false for what isn't ours: it is then the kernel's business.
static __always_inline bool find_sender(
    struct __sk_buff *skb, struct packet *outer, __u32 *length, struct ethhdr *inner)
{
    struct ethhdr ethernet;
    struct udphdr udp;
    struct geneve geneve;
    __u32 network;
    if (skb->vlan_present || bpf_skb_load_bytes(skb, 0, &ethernet, sizeof(ethernet)))
        return false;
    if (ethernet.h_proto == bpf_htons(ETH_P_IP)) {
        __u8 first;
        __be16 fragment;
        if (!parse_v4(skb, outer) || bpf_skb_load_bytes(skb, ETHERNET, &first, 1) ||
            bpf_skb_load_bytes(skb, ETHERNET + 6, &fragment, 2))
            return false;
        if (fragment & bpf_htons(0x3FFF))
            return false;
        network = (first & 0x0F) * 4;
    } else if (ethernet.h_proto == bpf_htons(ETH_P_IPV6)) {
        __u8 next;
        if (!parse_v6(skb, outer) || bpf_skb_load_bytes(skb, ETHERNET + 6, &next, 1) || next != IPPROTO_UDP)
            return false;
        network = sizeof(struct ipv6hdr);
    } else {
        return false;
    }
    if (!outer->has_ports || outer->protocol != IPPROTO_UDP || outer->destination_port != WEFT_PORT_GENEVE)
        return false;
    __u32 at = ETHERNET + network;
    if (bpf_skb_load_bytes(skb, at, &udp, sizeof(udp)) ||
        bpf_skb_load_bytes(skb, at + sizeof(udp), &geneve, sizeof(geneve)))
        return false;
    // Control messages and critical options are not for this program.
    if (geneve.options & 0xC0 || geneve.flags & 0xC0 || geneve.protocol != bpf_htons(ETHERTYPE_ETHERNET))
        return false;
    struct weft_sender sender = { .address = outer->source, .vni = bpf_ntohl(geneve.vni) >> 8, .v6 = outer->v6 };
    if (!bpf_map_lookup_elem(&weft_senders, &sender))
        return false;
    // What only passes here is the business of the host that it is for.
    struct weft_local own = { .address = outer->destination, .v6 = outer->v6 };
    if (!bpf_map_lookup_elem(&weft_locals, &own))
        return false;
    *length = network + sizeof(udp) + sizeof(geneve) + (geneve.options & 0x3F) * 4 + ETHERNET;
    return !bpf_skb_load_bytes(skb, *length, inner, sizeof(*inner));
}

/// 1 if the inner packet's source leads to the sender: it is one of the nexthops that what goes there may take.
SEPARATE int serves_source(struct __sk_buff *skb, const struct packet *outer, __u32 offset, __u32 v6)
{
    struct weft_address source = {};
    if (!outer)
        return 0;
    if (v6) {
        if (bpf_skb_load_bytes(skb, offset + 8, &source, 16))
            return 0;
    } else if (bpf_skb_load_bytes(skb, offset + 12, &source, 4)) {
        return 0;
    }
    __u32 *number = find_group(&source, v6);
    struct weft_group *group = number ? bpf_map_lookup_elem(&weft_groups, number) : NULL;
    if (!group)
        return 0;
    for (int i = 0; i < WEFT_MEMBERS; i++) {
        if ((__u32)i >= group->count)
            break;
        __u32 id = group->members[i].nexthop;
        const struct weft_nexthop *nexthop = bpf_map_lookup_elem(&weft_nexthops, &id);
        if (nexthop && nexthop->remote.high == outer->source.high && nexthop->remote.low == outer->source.low &&
            !(nexthop->flags & WEFT_NEXTHOP_UNDERLAY_V6) == !outer->v6)
            return 1;
    }
    return 0;
}

/// Takes the outer headers off and gives the packet to the overlay interface as one that came in there.
static __always_inline int decapsulate(struct __sk_buff *skb)
{
    struct packet outer = {};
    struct ethhdr inner;
    __u32 length, zero = 0;
    if (!find_sender(skb, &outer, &length, &inner))
        return TC_ACT_UNSPEC;
    bool v6 = inner.h_proto == bpf_htons(ETH_P_IPV6);
    struct weft_settings *settings = bpf_map_lookup_elem(&weft_settings, &zero);
    if ((!v6 && inner.h_proto != bpf_htons(ETH_P_IP)) || !settings || !settings->overlay_interface)
        return weft_end(skb, WEFT_DECAPSULATION_REFUSED, TC_ACT_SHOT);
    if (settings->flags & WEFT_SETTING_VERIFY_SOURCES && !serves_source(skb, &outer, length + ETHERNET, v6))
        return weft_end(skb, WEFT_SOURCE_REFUSED, TC_ACT_SHOT);
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
    if (v6 != outer.v6)
        flags |= v6 ? BPF_F_ADJ_ROOM_DECAP_L3_IPV6 : BPF_F_ADJ_ROOM_DECAP_L3_IPV4;
    if (bpf_skb_adjust_room(skb, -(__s32)length, BPF_ADJ_ROOM_MAC, flags))
        return weft_end(skb, WEFT_DECAPSULATION_FAILED, TC_ACT_SHOT);
    __builtin_memcpy(inner.h_dest, settings->overlay_mac, ETH_ALEN);
    if (bpf_skb_store_bytes(skb, 0, &inner, sizeof(inner), 0))
        return weft_end(skb, WEFT_DECAPSULATION_FAILED, TC_ACT_SHOT);
    // Congestion met on the underlay is told to the inner flow, or is a loss where that can't hear it (RFC 6040).
    if ((outer.traffic_class & 3) == 3 && !bpf_skb_ecn_set_ce(skb))
        return weft_end(skb, WEFT_DECAPSULATION_REFUSED, TC_ACT_SHOT);
    weft_end(skb, WEFT_DECAPSULATED, 0);
    return bpf_redirect(settings->overlay_interface, BPF_F_INGRESS);
}
