// SPDX-License-Identifier: Apache-2.0
// The maps. The loader sets the sizes.
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include "layout.h"

/// Prefixes, each with its group's number.
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, struct weft_prefix_v4);
    __type(value, __u32);
} weft_trie4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, struct weft_prefix_v6);
    __type(value, __u32);
} weft_trie6 SEC(".maps");

/// Prefixes of one address, which are longer than any other: a hash finds them faster than the trie.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} weft_host4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, struct weft_address);
    __type(value, __u32);
} weft_host6 SEC(".maps");

/// A hash, whose elements are replaced as a whole: no packet sees half a group.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct weft_group);
} weft_groups SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct weft_nexthop);
} weft_nexthops SEC(".maps");

/// A peer's WEFT_PEER_ flags: one write changes a peer's health everywhere.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} weft_peers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, struct weft_name);
    __type(value, __u32);
} weft_names SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, struct weft_sender);
    __type(value, __u32);
} weft_senders SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, WEFT_LOCALS);
    __type(key, struct weft_local);
    __type(value, __u32);
} weft_locals SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct weft_settings);
} weft_settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct weft_counter);
} weft_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, WEFT_OUTCOMES);
    __type(key, __u32);
    __type(value, struct weft_counter);
} weft_outcomes SEC(".maps");

/// The number of the group that the longest prefix over an address has.
static __always_inline __u32 *find_group(const struct weft_address *address, bool v6)
{
    if (v6) {
        struct weft_prefix_v6 key = { .length = 128 };
        __u32 *group = bpf_map_lookup_elem(&weft_host6, address);
        if (group)
            return group;
        __builtin_memcpy(key.address, address, sizeof(key.address));
        return bpf_map_lookup_elem(&weft_trie6, &key);
    }
    struct weft_prefix_v4 key = { .length = 32 };
    __builtin_memcpy(&key.address, address, sizeof(key.address));
    __u32 *group = bpf_map_lookup_elem(&weft_host4, &key.address);
    return group ? group : bpf_map_lookup_elem(&weft_trie4, &key);
}

/// Adds a packet, which may be a superpacket, to a counter of this processor.
static __always_inline void weft_count(void *map, __u32 index, __u32 packets, __u32 bytes)
{
    struct weft_counter *counter = bpf_map_lookup_elem(map, &index);
    if (counter) {
        counter->packets += packets;
        counter->bytes += bytes;
    }
}

/// Counts a packet's one outcome.
static __always_inline int weft_end(struct __sk_buff *skb, enum weft_outcome outcome, int action)
{
    weft_count(&weft_outcomes, outcome, skb->gso_segs ? skb->gso_segs : 1, skb->len);
    return action;
}
