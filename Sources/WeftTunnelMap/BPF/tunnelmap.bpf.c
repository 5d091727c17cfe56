// SPDX-License-Identifier: Apache-2.0
// The classifier: sends each packet that leaves an overlay's interface to one of its destination's nexthops.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include "choose.h"
#include "geneve.h"
#include "maps.h"
#include "parse.h"
#include "toolong.h"

// The helpers that change a packet's room and its neighbour are for GPL-compatible programs only.
char _license[] SEC("license") = "Dual MIT/GPL";

static __always_inline int set_key(
    struct __sk_buff *skb, const struct weft_nexthop *nexthop, const struct packet *packet)
{
    bool v6 = nexthop->flags & WEFT_NEXTHOP_UNDERLAY_V6;
    struct bpf_tunnel_key key = {
        .tunnel_id = nexthop->vni,
        .tunnel_tos = packet->traffic_class,
        .tunnel_ttl = HOP_LIMIT,
    };
    if (v6) {
        __builtin_memcpy(key.remote_ipv6, &nexthop->remote, sizeof(key.remote_ipv6));
        __builtin_memcpy(key.local_ipv6, &nexthop->local, sizeof(key.local_ipv6));
    } else {
        // These alone are in host order.
        key.remote_ipv4 = bpf_be64_to_cpu(nexthop->remote.high) >> 32;
        key.local_ipv4 = bpf_be64_to_cpu(nexthop->local.high) >> 32;
    }
    return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX | (v6 ? BPF_F_TUNINFO_IPV6 : 0));
}

/// Sends the packet to a nexthop. The packet's mark keeps it from being sent again where it leaves encapsulated.
static __always_inline int forward(
    struct __sk_buff *skb, const struct weft_nexthop *nexthop, const struct packet *packet, __u64 flow)
{
    if (nexthop->protocol == WEFT_PROTOCOL_GENEVE_DIRECT) {
        if (encapsulate(skb, nexthop, packet, flow))
            return TC_ACT_SHOT;
        skb->mark = WEFT_MARK_ENCAPSULATED;
        return bpf_redirect_neigh(nexthop->interface, NULL, 0, 0);
    }
    if (nexthop->flags & WEFT_NEXTHOP_SET_MAC) {
        __u8 macs[2 * ETH_ALEN];
        bool v6 = nexthop->flags & WEFT_NEXTHOP_UNDERLAY_V6;
        derive_mac(macs, &nexthop->remote, v6);
        derive_mac(macs + ETH_ALEN, &nexthop->local, v6);
        if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
            return TC_ACT_SHOT;
    }
    if (nexthop->flags & WEFT_NEXTHOP_SET_KEY) {
        if (set_key(skb, nexthop, packet))
            return TC_ACT_SHOT;
        skb->mark = WEFT_MARK_ENCAPSULATED;
    }
    return bpf_redirect(nexthop->interface, 0);
}

SEC("tc")
int weft_egress(struct __sk_buff *skb)
{
    struct packet packet = {};
    __be16 ethertype;
    if (skb->mark == WEFT_MARK_ENCAPSULATED)
        return weft_end(skb, WEFT_ENCAPSULATED, TC_ACT_UNSPEC);
    if (bpf_skb_load_bytes(skb, 12, &ethertype, sizeof(ethertype)))
        return weft_end(skb, WEFT_MALFORMED, TC_ACT_SHOT);
    if (skb->vlan_present || ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD))
        return weft_end(skb, WEFT_VLAN, TC_ACT_UNSPEC);
    if (ethertype != bpf_htons(ETH_P_IP) && ethertype != bpf_htons(ETH_P_IPV6))
        return weft_end(skb, WEFT_NOT_IP, TC_ACT_UNSPEC);
    if (!(ethertype == bpf_htons(ETH_P_IP) ? parse_v4(skb, &packet) : parse_v6(skb, &packet)))
        return weft_end(skb, WEFT_MALFORMED, TC_ACT_SHOT);
    if (!is_routable(&packet))
        return weft_end(skb, WEFT_NOT_UNICAST, TC_ACT_UNSPEC);

    __u32 *number = find_group(&packet.destination, packet.v6);
    struct weft_group *group = number ? bpf_map_lookup_elem(&weft_groups, number) : NULL;
    if (!group)
        return weft_end(skb, WEFT_NO_ENTRY, TC_ACT_UNSPEC);

    struct choice choice = { .flow = flow_hash(&packet), .any = is_probe(skb, &packet) };
    choice.has_peer = choice.any;
    choice.peer = skb->mark & ~WEFT_MARK_MASK;
    int index = choose(group, &choice);
    if (index < 0)
        return group->flags & WEFT_GROUP_NEVER_CLEAR ? weft_end(skb, WEFT_UNHEALTHY_DROPPED, TC_ACT_SHOT)
                                                     : weft_end(skb, WEFT_UNHEALTHY_PASSED, TC_ACT_UNSPEC);

    const struct weft_member *member = &group->members[index & (WEFT_MEMBERS - 1)];
    __u32 id = member->nexthop;
    const struct weft_nexthop *nexthop = bpf_map_lookup_elem(&weft_nexthops, &id);
    if (!nexthop)
        return weft_end(skb, WEFT_FAILED, TC_ACT_SHOT);
    __u32 packets = skb->gso_segs ? skb->gso_segs : 1, bytes = skb->len;
    if (nexthop->protocol == WEFT_PROTOCOL_GENEVE_DIRECT) {
        int room = room_for(skb, nexthop, &packet);
        if (room >= 0) {
            weft_count(&weft_outcomes, WEFT_TOO_LONG, packets, bytes);
            return answer_too_long(skb, &packet, room);
        }
    }
    int action = forward(skb, nexthop, &packet, choice.flow);
    enum weft_outcome outcome = action == TC_ACT_SHOT ? WEFT_FAILED : choice.any ? WEFT_PROBE : WEFT_FORWARDED;
    if (outcome != WEFT_FAILED)
        weft_count(&weft_counters, id, packets, bytes);
    weft_count(&weft_outcomes, outcome, packets, bytes);
    return action;
}

SEC("tc")
int weft_ingress(struct __sk_buff *skb)
{
    return decapsulate(skb);
}
