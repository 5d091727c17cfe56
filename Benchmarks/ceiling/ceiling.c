// SPDX-License-Identifier: Apache-2.0
// The ceiling: what a tunnel in user space could reach on this machine if it had nothing to do but move packets.
//
//   cc -O2 -pthread -o ceiling ceiling.c
//   ceiling DEVICE LOCAL-IPV4 PEER-IPV4 PORT
//
// It takes TCP superpackets from a TUN device, copies them as segments behind a header of 16 bytes each, sends them with
// UDP_SEGMENT, receives with UDP_GRO and writes superpackets again. There is no cryptography, no replay protection and
// no routing, and no checksum is finished: the header carries a bit for "the receiving kernel need not look", as it
// could between two ends of one machine only. It is for measuring beside Weft and nothing else: it believes whatever
// it reads, from the device and from the underlay.
//
// One thread moves each direction, with blocking calls, one superpacket or one GRO buffer at a time.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    VNET_HEADER = sizeof(struct virtio_net_hdr_v1),
    OUR_HEADER = 16,
    LARGEST_PACKET = 65536,
    // What one send takes: an IP datagram's worth, and the 64 segments of kernels before 6.9.
    LARGEST_SEND = 65000,
    MOST_SEGMENTS = 64,
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_URG = 0x20,
    // The first byte of our header: the transport checksum is not finished.
    UNFINISHED = 1,
};

static int device, udp;

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static void put16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}
static uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}
static void put32(uint8_t *at, uint32_t value) {
    value = htonl(value);
    memcpy(at, &value, sizeof value);
}

// The Internet checksum's sum over an even number of bytes, folded, not complemented.
static uint16_t sum16(const uint8_t *bytes, int count, uint32_t sum) {
    for (int i = 0; i < count; i += 2) sum += get16(bytes + i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static bool is_v4(const uint8_t *ip) { return ip[0] >> 4 == 4; }
static int ip_header(const uint8_t *ip) { return is_v4(ip) ? (ip[0] & 15) * 4 : 40; }
static int protocol(const uint8_t *ip) { return is_v4(ip) ? ip[9] : ip[6]; }

static void set_ip_length(uint8_t *ip, int count) {
    if (is_v4(ip)) {
        put16(ip + 2, (unsigned)count);
        put16(ip + 10, 0);
        put16(ip + 10, (uint16_t)~sum16(ip, ip_header(ip), 0));
    } else {
        put16(ip + 4, (unsigned)count - 40);
    }
}

// What stands in a checksum field that the kernel shall finish: the pseudo-header's sum.
static uint16_t pseudo_header(const uint8_t *ip, int transport_length) {
    uint32_t sum = (uint32_t)protocol(ip) + (uint32_t)transport_length;
    return is_v4(ip) ? sum16(ip + 12, 8, sum) : sum16(ip + 8, 32, sum);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

// --- From the overlay to the underlay --------------------------------------------------------------------------------

// Sends datagrams that lie one behind the other: all of `segment` bytes but the last, which may be shorter.
static void send_run(uint8_t *bytes, int count, int segment) {
    union {
        char room[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control = {0};
    struct iovec vector = {bytes, (size_t)count};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > segment) {
        uint16_t size = (uint16_t)segment;
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof size);
        memcpy(CMSG_DATA(header), &size, sizeof size);
    }
    while (sendmsg(udp, &message, 0) < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
    }
}

// Cuts a TCP superpacket into datagrams.
static void send_superpacket(const uint8_t *ip, int count, int payload_size, uint8_t *out) {
    const int transport = ip_header(ip);
    const int headers = transport + (ip[transport + 12] >> 4) * 4;
    const int datagram = OUR_HEADER + headers + payload_size;
    const uint8_t flags = ip[transport + 13];
    uint32_t sequence = get32(ip + transport + 4);
    unsigned identification = is_v4(ip) ? get16(ip + 4) : 0;
    const uint8_t *payload = ip + headers;
    int left = count - headers, filled = 0, segments = 0;
    while (left > 0) {
        const int size = left < payload_size ? left : payload_size;
        uint8_t *packet = out + filled + OUR_HEADER;
        memset(out + filled, 0, OUR_HEADER);
        out[filled] = UNFINISHED;
        memcpy(packet, ip, (size_t)headers);
        memcpy(packet + headers, payload, (size_t)size);
        if (is_v4(packet)) put16(packet + 4, identification++);
        set_ip_length(packet, headers + size);
        put32(packet + transport + 4, sequence);
        if (left > size) packet[transport + 13] = flags & (uint8_t) ~(TCP_FIN | TCP_PSH);
        sequence += (uint32_t)size;
        payload += size;
        left -= size;
        filled += OUR_HEADER + headers + size;
        if (filled + datagram > LARGEST_SEND || ++segments == MOST_SEGMENTS) {
            send_run(out, filled, datagram);
            filled = segments = 0;
        }
    }
    if (filled > 0) send_run(out, filled, datagram);
}

static void *from_overlay(void *unused) {
    static uint8_t in[VNET_HEADER + LARGEST_PACKET], out[2 * LARGEST_PACKET];
    for (;;) {
        const ssize_t got = read(device, in, sizeof in);
        if (got <= VNET_HEADER) continue;
        struct virtio_net_hdr_v1 header;
        memcpy(&header, in, sizeof header);
        const uint8_t *ip = in + VNET_HEADER;
        const int count = (int)got - VNET_HEADER;
        const int type = header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
        if (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6) {
            send_superpacket(ip, count, header.gso_size, out);
        } else {
            memset(out, 0, OUR_HEADER);
            if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) out[0] = UNFINISHED;
            memcpy(out + OUR_HEADER, ip, (size_t)count);
            send_run(out, OUR_HEADER + count, OUR_HEADER + count);
        }
    }
    return unused;
}

// --- From the underlay to the overlay --------------------------------------------------------------------------------

// Whether `next` is the segment that goes on where `first` and `payload` bytes behind its headers end.
static bool follows(const uint8_t *first, const uint8_t *next, int transport, int headers, int payload) {
    const uint8_t *a = first + transport, *b = next + transport;
    const int addresses = is_v4(first) ? 12 : 8;
    return memcmp(first + addresses, next + addresses, (size_t)(transport - addresses)) == 0  // addresses
        && memcmp(a, b, 4) == 0                                                               // ports
        && get32(b + 4) == get32(a + 4) + (uint32_t)payload                                   // sequence
        && memcmp(a + 8, b + 8, 5) == 0                        // acknowledgement, header length
        && memcmp(a + 14, b + 14, 2) == 0                      // window
        && memcmp(a + 20, b + 20, (size_t)(headers - transport - 20)) == 0  // options
        && (b[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_URG)) == 0;
}

static void write_device(struct iovec *vectors, int count) {
    // EIO says that the device is down, as it is at first.
    if (writev(device, vectors, count) < 0 && errno != EIO) perror("write to the device");
}

// Writes the packet at the front of a GRO buffer, with all that can be joined to it. Returns how many bytes of the
// buffer that took.
static int write_front(uint8_t *buffer, int count, int datagram) {
    uint8_t *ip = buffer + OUR_HEADER;
    int length = (count < datagram ? count : datagram) - OUR_HEADER;
    if (length < 20) return count;
    const int transport = ip_header(ip);
    const bool is_tcp = protocol(ip) == IPPROTO_TCP && transport + 20 <= length;
    const int headers = is_tcp ? transport + (ip[transport + 12] >> 4) * 4 : length;
    struct virtio_net_hdr_v1 header = {0};
    struct iovec vectors[MOST_SEGMENTS + 2] = {{&header, VNET_HEADER}, {ip, (size_t)length}};
    int used = 2, taken = datagram;
    if (is_tcp && headers < length) {
        const int size = length - headers;
        int payload = size, last = size;
        while (taken < count && last == size && headers + payload + size < LARGEST_PACKET && used < MOST_SEGMENTS + 2) {
            uint8_t *next = buffer + taken + OUR_HEADER;
            last = (count - taken < datagram ? count - taken : datagram) - OUR_HEADER - headers;
            if (last <= 0 || last > size || !follows(ip, next, transport, headers, payload)) break;
            vectors[used++] = (struct iovec){next + headers, (size_t)last};
            ip[transport + 13] |= next[transport + 13] & TCP_PSH;
            payload += last;
            taken += datagram;
        }
        if (used > 2) {
            length = headers + payload;
            set_ip_length(ip, length);
            header.gso_type = is_v4(ip) ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
            header.gso_size = (uint16_t)size;
            header.hdr_len = (uint16_t)headers;
        }
    }
    const bool is_udp = protocol(ip) == IPPROTO_UDP;
    if (buffer[0] == UNFINISHED && (is_tcp || is_udp)) {
        header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header.csum_start = (uint16_t)transport;
        header.csum_offset = is_tcp ? 16 : 6;
        put16(ip + transport + header.csum_offset, pseudo_header(ip, length - transport));
    }
    write_device(vectors, used);
    return taken;
}

static void *from_underlay(void *unused) {
    static uint8_t in[LARGEST_PACKET + 256];
    for (;;) {
        union {
            char room[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } control;
        struct iovec vector = {in, sizeof in};
        struct msghdr message = {
            .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
        const int got = (int)recvmsg(udp, &message, 0);
        if (got <= OUR_HEADER) continue;
        int datagram = got;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO)
            memcpy(&datagram, CMSG_DATA(header), sizeof datagram);
        for (int offset = 0; offset < got;) offset += write_front(in + offset, got - offset, datagram);
    }
    return unused;
}

// --- Setting up ------------------------------------------------------------------------------------------------------

static void open_device(const char *name) {
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    int size = VNET_HEADER;
    if ((device = open("/dev/net/tun", O_RDWR | O_CLOEXEC)) < 0) fail("open /dev/net/tun");
    if (ioctl(device, TUNSETIFF, &request) != 0) fail("make the device");
    if (ioctl(device, TUNSETVNETHDRSZ, &size) != 0) fail("set the header's size");
    if (ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) != 0) fail("offload");
}

static struct sockaddr_in address(const char *text, const char *port) {
    struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, text, &result.sin_addr) != 1) {
        fprintf(stderr, "ceiling: no IPv4 address: %s\n", text);
        exit(2);
    }
    return result;
}

static void open_socket(const char *local, const char *peer, const char *port) {
    const struct sockaddr_in from = address(local, port), to = address(peer, port);
    const int one = 1, room = 8 << 20;
    if ((udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0) fail("socket");
    if (bind(udp, (const struct sockaddr *)&from, sizeof from) != 0) fail("bind");
    if (connect(udp, (const struct sockaddr *)&to, sizeof to) != 0) fail("connect");
    if (setsockopt(udp, IPPROTO_UDP, UDP_GRO, &one, sizeof one) != 0) fail("UDP_GRO");
    // Best effort: they need CAP_NET_ADMIN in the first user namespace.
    setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(udp, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
}

int main(int count, char **arguments) {
    if (count != 5) {
        fputs("usage: ceiling DEVICE LOCAL-IPV4 PEER-IPV4 PORT\n", stderr);
        return 2;
    }
    open_device(arguments[1]);
    open_socket(arguments[2], arguments[3], arguments[4]);
    pthread_t thread;
    if (pthread_create(&thread, NULL, from_overlay, NULL) != 0) fail("start a thread");
    from_underlay(NULL);
    return 0;
}
