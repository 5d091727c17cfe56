// SPDX-License-Identifier: Apache-2.0
// Sends equal UDP packets as fast as a device takes them, past the kernel's stack, for so many seconds.
//
//   flood DEVICE ethernet|ip BYTES SECONDS     BYTES of an IP packet, 28 to 1500
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
    static unsigned char packet[ETH_HLEN + 1500];
    static struct mmsghdr messages[BATCH];
    if (count != 5) {
        fprintf(stderr, "usage: flood DEVICE ethernet|ip BYTES SECONDS\n");
        return 2;
    }
    int header = strcmp(arguments[2], "ethernet") == 0 ? ETH_HLEN : 0, size = atoi(arguments[3]), one = 1;
    if (size < 28 || size > 1500) return 2;
    unsigned char *ip = packet + header;
    memset(packet, 0x02, header);
    if (header) memcpy(packet + 12, "\x08\x00", 2);
    // 10.77.0.1 to 10.77.0.2, from and to port 9.
    memcpy(ip, "\x45\0\0\0\0\0\0\0\x40\x11\0\0\x0a\x4d\0\x01\x0a\x4d\0\x02\0\x09\0\x09", 24);
    ip[2] = size >> 8, ip[3] = size, ip[24] = (size - 20) >> 8, ip[25] = size - 20;
    uint32_t sum = 0;
    for (int offset = 0; offset < 20; offset += 2) sum += ip[offset] << 8 | ip[offset + 1];
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = ~((sum & 0xFFFF) + (sum >> 16));
    ip[10] = sum >> 8, ip[11] = sum;

    int output = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP),
                                  .sll_ifindex = if_nametoindex(arguments[1])};
    if (output < 0 || bind(output, (struct sockaddr *)&address, sizeof(address)) != 0) {
        perror("flood");
        return 1;
    }
    setsockopt(output, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
    struct iovec vector = {packet, header + size};
    for (int index = 0; index < BATCH; index++) messages[index].msg_hdr = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1};
    double end = now() + atof(arguments[4]);
    // Full is no failure: the next one may fit.
    while (now() < end) sendmmsg(output, messages, BATCH, MSG_DONTWAIT);
    return 0;
}
