// SPDX-License-Identifier: Apache-2.0
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("tc")
int weft_egress(struct __sk_buff *skb)
{
    (void)skb;
    return TC_ACT_OK;
}
