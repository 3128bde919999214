// SPDX-License-Identifier: Apache-2.0
/* Below IP: frames and packets put straight on a device. */
#include "bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/if_xdp.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#define XDP_FRAME 4096
#define XDP_FRAMES 16

static int device_index(void) {
  char device[IFNAMSIZ];
  default_device(device, sizeof(device));
  return checked(if_nametoindex(device) ? (long)if_nametoindex(device) : -1, "if_nametoindex");
}

/* Everybody is meant, so that no address has to be resolved; the capture sees it all the same. */
static struct sockaddr_ll to_everybody(void) {
  struct sockaddr_ll to = {.sll_family = AF_PACKET,
                           .sll_protocol = htons(ETH_P_IP),
                           .sll_ifindex = device_index(),
                           .sll_halen = ETH_ALEN};
  memset(to.sll_addr, 0xff, ETH_ALEN);
  return to;
}

static size_t build_frame(uint8_t *frame, size_t size, struct attempt *a) {
  memset(frame, 0xff, ETH_ALEN);
  memset(frame + ETH_ALEN, 0x02, ETH_ALEN);
  frame[12] = ETH_P_IP >> 8;
  frame[13] = ETH_P_IP & 0xff;
  return ETH_HLEN + build_udp4(frame + ETH_HLEN, size - ETH_HLEN, a, "10.198.1.1");
}

static _Noreturn void send_frame(struct attempt *a, int fd) {
  uint8_t frame[512];
  struct sockaddr_ll to = to_everybody();
  size_t length = build_frame(frame, sizeof(frame), a);
  checked(sendto(fd, frame, length, 0, (struct sockaddr *)&to, sizeof(to)), "sendto");
  say_sent("no answer");
}

static void packet_datagram(struct attempt *a) {
  uint8_t packet[512];
  struct sockaddr_ll to = to_everybody();
  size_t length = build_udp4(packet, sizeof(packet), a, "10.198.1.1");
  int fd = open_socket(AF_PACKET, SOCK_DGRAM, 0);
  checked(sendto(fd, packet, length, 0, (struct sockaddr *)&to, sizeof(to)), "sendto");
  say_sent("no answer");
}

static void packet_raw(struct attempt *a) {
  send_frame(a, open_socket(AF_PACKET, SOCK_RAW, 0));
}

static void packet_no_queue(struct attempt *a) {
  int fd = open_socket(AF_PACKET, SOCK_RAW, 0), on = 1;
  checked(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)), "PACKET_QDISC_BYPASS");
  send_frame(a, fd);
}

/* Of a frame that waits in shared memory. */
static void packet_ring(struct attempt *a) {
  int fd = open_socket(AF_PACKET, SOCK_RAW, 0);
  struct tpacket_req request = {
      .tp_block_size = 4096, .tp_frame_size = 2048, .tp_block_nr = 1, .tp_frame_nr = 2};
  checked(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(request)), "PACKET_TX_RING");
  uint8_t *ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  checked(ring == MAP_FAILED ? -1 : 0, "mmap");
  struct tpacket_hdr *header = (void *)ring;
  size_t offset = TPACKET_HDRLEN - sizeof(struct sockaddr_ll);
  header->tp_len = (unsigned)build_frame(ring + offset, 2048 - offset, a);
  header->tp_status = TP_STATUS_SEND_REQUEST;
  struct sockaddr_ll to = to_everybody();
  checked(sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof(to)), "sendto");
  say_sent("no answer");
}

/* The obsolete SOCK_PACKET is of the internet family by its number only. */
static void packet_obsolete(struct attempt *a) {
  uint8_t frame[512];
  struct sockaddr to = {.sa_family = AF_PACKET};
  char device[IFNAMSIZ];
  default_device(device, sizeof(device));
  int fd = open_socket(AF_INET, SOCK_PACKET, htons(ETH_P_IP));
  size_t length = build_frame(frame, sizeof(frame), a);
  memcpy(to.sa_data, device, strnlen(device, sizeof(to.sa_data) - 1));
  checked(sendto(fd, frame, length, 0, &to, sizeof(to)), "sendto");
  say_sent("no answer");
}

static void express(struct attempt *a) {
  int fd = socket(AF_XDP, SOCK_RAW, 0), size = XDP_FRAMES;
  if (fd < 0 && errno == EAFNOSUPPORT)
    say_not_run("the kernel has no AF_XDP");
  checked(fd, "socket");
  uint8_t *area =
      mmap(NULL, XDP_FRAME * XDP_FRAMES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct xdp_umem_reg memory = {
      .addr = (uint64_t)(uintptr_t)area, .len = XDP_FRAME * XDP_FRAMES, .chunk_size = XDP_FRAME};
  checked(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)), "XDP_UMEM_REG");
  checked(setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &size, sizeof(size)), "XDP_UMEM_FILL_RING");
  checked(setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &size, sizeof(size)), "XDP_UMEM_COMPLETION_RING");
  checked(setsockopt(fd, SOL_XDP, XDP_TX_RING, &size, sizeof(size)), "XDP_TX_RING");
  struct xdp_mmap_offsets offsets;
  socklen_t length = sizeof(offsets);
  checked(getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length), "XDP_MMAP_OFFSETS");
  size_t room = offsets.tx.desc + XDP_FRAMES * sizeof(struct xdp_desc);
  uint8_t *ring = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, XDP_PGOFF_TX_RING);
  checked(ring == MAP_FAILED ? -1 : 0, "mmap");
  struct sockaddr_xdp to = {
      .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = (uint32_t)device_index()};
  checked(bind(fd, (struct sockaddr *)&to, sizeof(to)), "bind");
  struct xdp_desc *descriptor = (void *)(ring + offsets.tx.desc);
  descriptor->addr = 0;
  descriptor->len = (uint32_t)build_frame(area, XDP_FRAME, a);
  __atomic_store_n((uint32_t *)(ring + offsets.tx.producer), 1, __ATOMIC_RELEASE);
  checked(sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0), "sendto");
  say_sent("no answer");
}

/* A device of its own: what is written into it the kernel takes for received, and forwards. */
static void tunnel(struct attempt *a) {
  uint8_t packet[512];
  int fd = open("/dev/net/tun", O_RDWR);
  if (fd < 0 && (errno == ENOENT || errno == ENODEV))
    say_not_run("the machine has no /dev/net/tun");
  checked(fd, "open");
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  checked(ioctl(fd, TUNSETIFF, &request), "TUNSETIFF");
  if (shell("ip addr add 10.202.0.1/24 dev %s && ip link set %s up && echo 1 > /proc/sys/net/ipv4/ip_forward",
            request.ifr_name, request.ifr_name)) {
    errno = EPERM;
    say_refused("configure the device");
  }
  size_t length = build_udp4(packet, sizeof(packet), a, "10.202.0.2");
  checked(write(fd, packet, length), "write");
  usleep((useconds_t)patient(100) * 1000);
  say_sent("no answer");
}

const struct technique link_techniques[] = {
    {"packet-datagram", NULL, packet_datagram},
    {"packet-raw", NULL, packet_raw},
    {"packet-qdisc-bypass", NULL, packet_no_queue},
    {"packet-tx-ring", NULL, packet_ring},
    {"packet-obsolete", NULL, packet_obsolete},
    {"xdp", NULL, express},
    {"tun", NULL, tunnel},
    {NULL, NULL, NULL},
};
