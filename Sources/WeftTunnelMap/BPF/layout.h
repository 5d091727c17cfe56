// SPDX-License-Identifier: Apache-2.0
// What the classifier and its loader share: the maps' keys and values. A change of any of them is a change of the layout.
#pragma once
#include <linux/types.h>

/// Maps of another layout are never reused.
#define WEFT_LAYOUT 2

#define WEFT_MEMBERS 16
/// How many underlay addresses of our own there can be.
#define WEFT_LOCALS 256
#define WEFT_PORT_PROBE 9997
#define WEFT_PORT_GENEVE 6081

/// The mark of what the classifier has encapsulated: it passes untouched where it comes by again.
#define WEFT_MARK_ENCAPSULATED 0x77660000U
/// A probe's mark: this and the number of the peer that it is for in the low half.
#define WEFT_MARK_PROBE 0x77670000U
#define WEFT_MARK_MASK 0xFFFF0000U

/// An address in network order; IPv4 stands in the first four bytes and the others are zero.
struct weft_address {
    __u64 high;
    __u64 low;
};

/// A prefix in the trie of its family: the address in network order.
struct weft_prefix_v4 {
    __u32 length;
    __u32 address;
};

struct weft_prefix_v6 {
    __u32 length;
    __u32 address[4];
};

/// The coefficients of the choice's logarithm, with 30 fractional bits.
#define WEFT_LOG_A 470377566
#define WEFT_LOG_B 254147622
#define WEFT_LOG_C 86229311

/// One nexthop in a group.
struct weft_member {
    /// From what the nexthop is, so that its score is the same in any place and group.
    __u64 seed;
    __u32 nexthop;
    __u32 peer;
    /// 1...65535.
    __u32 weight;
    __u32 reserved;
};

#define WEFT_GROUP_NEVER_CLEAR 1U

struct weft_group {
    /// 0...16; with none, what never leaves in the clear is dropped.
    __u32 count;
    __u32 flags;
    struct weft_member members[WEFT_MEMBERS];
};

#define WEFT_PROTOCOL_VXLAN 1
#define WEFT_PROTOCOL_GENEVE 2
#define WEFT_PROTOCOL_IPIP 3
#define WEFT_PROTOCOL_WIREGUARD 4
#define WEFT_PROTOCOL_PLAIN 5
#define WEFT_PROTOCOL_GENEVE_DIRECT 6

#define WEFT_NEXTHOP_SET_KEY 1U
#define WEFT_NEXTHOP_UNDERLAY_V6 2U
/// The frame's MAC addresses are derived from the nexthop's addresses.
#define WEFT_NEXTHOP_SET_MAC 4U

/// Never changes while a group refers to it.
struct weft_nexthop {
    struct weft_address remote;
    struct weft_address local;
    __u32 interface;
    __u32 vni;
    __u32 protocol;
    __u32 flags;
    __u64 seed;
    char interface_name[16];
};

#define WEFT_PEER_HEALTHY 1U
#define WEFT_PEER_DRAINING 2U
/// Its health is the probes' to tell.
#define WEFT_PEER_PROBED 4U

/// A peer's name, filled up with zeros. For whoever takes the maps over; the classifier has no use for it.
struct weft_name {
    char bytes[64];
};

/// Where packets that the program itself decapsulates come out.
struct weft_settings {
    __u32 overlay_interface;
    __u8 overlay_mac[6];
    /// WEFT_SETTING_ flags.
    __u8 flags;
    __u8 reserved;
};

/// What is decapsulated must come from an inner source that leads to this sender.
#define WEFT_SETTING_VERIFY_SOURCES 1U

/// An underlay address of our own: nothing that is for another is decapsulated.
struct weft_local {
    struct weft_address address;
    /// 1: IPv6.
    __u64 v6;
};

/// Who may send us Geneve without a device.
struct weft_sender {
    struct weft_address address;
    __u32 vni;
    /// 1: the address is IPv6.
    __u32 v6;
};

struct weft_counter {
    __u64 packets;
    __u64 bytes;
};

/// What became of a packet. Each packet is counted under exactly one.
enum weft_outcome {
    WEFT_FORWARDED,
    /// A probe, which goes to its nexthop whatever its health.
    WEFT_PROBE,
    WEFT_NO_ENTRY,
    WEFT_UNHEALTHY_PASSED,
    WEFT_UNHEALTHY_DROPPED,
    WEFT_NOT_IP,
    WEFT_VLAN,
    WEFT_NOT_UNICAST,
    WEFT_MALFORMED,
    WEFT_ENCAPSULATED,
    WEFT_FAILED,
    WEFT_DECAPSULATED,
    WEFT_DECAPSULATION_REFUSED,
    WEFT_DECAPSULATION_FAILED,
    WEFT_TOO_LONG,
    WEFT_SOURCE_REFUSED,
    WEFT_OUTCOMES,
};
