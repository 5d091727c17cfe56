// SPDX-License-Identifier: Apache-2.0
// libpcap's names for classic BPF are libbpf's and the kernel's for eBPF: two modules can't be imported together that
// mean different structures by one name.
#define bpf_insn weft_pcap_insn
#define bpf_program weft_pcap_program
#include <pcap/pcap.h>
#undef bpf_insn
#undef bpf_program
