// SPDX-License-Identifier: Apache-2.0
// Which nexthop a flow goes to: weighted highest random weight.
//
// Each nexthop draws a number u in (0, 1) from the flow and its own seed, and the one with the lowest -log2(u) / weight has
// the flow. So flows spread as the weights do, and when a nexthop goes, only its own flows move.
#pragma once
#include "maps.h"
#include "parse.h"

static __always_inline __u64 mix(__u64 hash, __u64 word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
    return hash ^ hash >> 32;
}

/// A hash of the flow, the same on all machines.
static __always_inline __u64 flow_hash(const struct packet *packet)
{
    __u64 hash = mix(packet->v6, bpf_be64_to_cpu(packet->source.high));
    hash = mix(hash, bpf_be64_to_cpu(packet->destination.high));
    if (packet->v6) {
        hash = mix(hash, bpf_be64_to_cpu(packet->source.low));
        hash = mix(hash, bpf_be64_to_cpu(packet->destination.low));
    }
    if (packet->has_ports)
        hash = mix(hash, (__u64)packet->protocol << 32 | (__u32)packet->source_port << 16 | packet->destination_port);
    return hash;
}

/// MurmurHash3's last step: each bit of the input moves each bit of the result.
static __always_inline __u64 finish(__u64 hash)
{
    hash = (hash ^ hash >> 33) * 0xFF51AFD7ED558CCDULL;
    hash = (hash ^ hash >> 33) * 0xC4CEB9FE1A85EC53ULL;
    return hash ^ hash >> 33;
}

/// The number of the highest bit; `value` is not 0.
static __always_inline __u32 highest_bit(__u32 value)
{
    __u32 bit = 0;
    if (value >> 16) { bit += 16; value >>= 16; }
    if (value >> 8) { bit += 8; value >>= 8; }
    if (value >> 4) { bit += 4; value >>= 4; }
    if (value >> 2) { bit += 2; value >>= 2; }
    return bit + (value >> 1);
}

/// -log2(draw / 2^32) with 30 fractional bits, for a draw above 0: at most 2^35.
///
/// log2(1 + x) is x + x(1 - x)(a - bx + cx^2) within 0.0001, exact at both ends, so that it never jumps.
SEPARATE __u64 cost(__u32 draw)
{
    const __u64 one = 1ULL << 30;
    __u32 bit = highest_bit(draw);
    __u64 x = ((__u64)draw << (31 - bit) & 0x7FFFFFFF) >> 1;
    __u64 factor = WEFT_LOG_A - (x * (WEFT_LOG_B - (x * WEFT_LOG_C >> 30)) >> 30);
    __u64 bend = (x * (one - x) >> 30) * factor >> 30;
    return ((__u64)(32 - bit) << 30) - x - bend;
}

/// What a choice looks for, and the best that it has found.
struct choice {
    __u64 flow;
    /// Take a nexthop whatever its health.
    bool any;
    /// With `any`: only this peer's, unless it has none here.
    bool has_peer;
    bool found;
    __u32 peer;
    __u32 rank;
    __u32 weight;
    __u64 cost;
    __u64 seed;
};

/// 1 if the member is better than all before it. A peer that drains comes after all that don't.
SEPARATE int consider(struct choice *choice, const struct weft_member *member)
{
    if (!choice || !member)
        return 0;
    __u32 peer = member->peer;
    __u32 *state = bpf_map_lookup_elem(&weft_peers, &peer);
    __u32 flags = state ? *state : 0;
    __u32 rank;
    if (choice->any)
        rank = choice->has_peer && peer == choice->peer ? 0 : 1;
    else if (!(flags & WEFT_PEER_HEALTHY))
        return 0;
    else
        rank = flags & WEFT_PEER_DRAINING ? 1 : 0;
    if (choice->found && rank > choice->rank)
        return 0;
    __u64 own = cost((__u32)(finish(choice->flow ^ member->seed) >> 32) | 1);
    if (choice->found && rank == choice->rank) {
        // own / weight < best / weight, without dividing.
        __u64 left = own * choice->weight, right = choice->cost * member->weight;
        if (left > right || (left == right && member->seed > choice->seed))
            return 0;
    }
    choice->found = true;
    choice->rank = rank;
    choice->cost = own;
    choice->weight = member->weight;
    choice->seed = member->seed;
    return 1;
}

/// The index of the group's member for a flow, or -1 if none is healthy.
SEPARATE int choose(const struct weft_group *group, struct choice *choice)
{
    int best = -1;
    if (!group || !choice)
        return -1;
    for (int i = 0; i < WEFT_MEMBERS; i++) {
        if ((__u32)i >= group->count)
            break;
        if (consider(choice, &group->members[i]))
            best = i;
    }
    return best;
}
