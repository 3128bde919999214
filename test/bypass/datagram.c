// SPDX-License-Identifier: Apache-2.0
/* Datagrams: UDP in every way of sending, UDP-Lite, what looks like QUIC, pings, and DNS that is bent. */
#include "bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

static int datagram(struct attempt *a) {
  return open_socket(a->family, SOCK_DGRAM, 0);
}

static _Noreturn void finish(int fd, long sent, const char *step) {
  checked(sent, step);
  say_sent(answered_within(fd, CONNECT_MS) ? "answered" : "no answer");
}

static _Noreturn void send_to(struct attempt *a, int fd) {
  finish(fd, sendto(fd, a->canary, strlen(a->canary), 0, (struct sockaddr *)&a->to, a->to_length), "sendto");
}

static void udp(struct attempt *a) {
  send_to(a, datagram(a));
}

static int connected(struct attempt *a) {
  int fd = datagram(a);
  checked(connect(fd, (struct sockaddr *)&a->to, a->to_length), "connect");
  return fd;
}

static void udp_connected(struct attempt *a) {
  int fd = connected(a);
  finish(fd, send(fd, a->canary, strlen(a->canary), 0), "send");
}

static void udp_write(struct attempt *a) {
  int fd = connected(a);
  finish(fd, write(fd, a->canary, strlen(a->canary)), "write");
}

static void udp_corked(struct attempt *a) {
  int fd = connected(a);
  checked(send(fd, a->canary, strlen(a->canary), MSG_MORE), "send");
  finish(fd, send(fd, ".", 1, 0), "send");
}

static void udp_segmented(struct attempt *a) {
  int fd = datagram(a), size = (int)strlen(a->canary);
  char twice[512] = {0};
  memcpy(twice, a->canary, (size_t)size);
  memcpy(twice + size, a->canary, (size_t)size);
  checked(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), "UDP_SEGMENT");
  finish(fd, sendto(fd, twice, 2 * (size_t)size, 0, (struct sockaddr *)&a->to, a->to_length), "sendto");
}

static void udp_sendmmsg(struct attempt *a) {
  int fd = datagram(a);
  struct iovec part = {(void *)a->canary, strlen(a->canary)};
  struct mmsghdr message = {
      .msg_hdr = {.msg_name = &a->to, .msg_namelen = a->to_length, .msg_iov = &part, .msg_iovlen = 1}};
  finish(fd, sendmmsg(fd, &message, 1, 0), "sendmmsg");
}

/* First connected to the resolver, which is allowed; then elsewhere. */
static void udp_reconnected(struct attempt *a) {
  struct sockaddr_in resolver = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, a->option, &resolver.sin_addr);
  int fd = datagram(a);
  checked(connect(fd, (struct sockaddr *)&resolver, sizeof(resolver)), "connect");
  checked(connect(fd, (struct sockaddr *)&a->to, a->to_length), "connect again");
  finish(fd, send(fd, a->canary, strlen(a->canary), 0), "send");
}

static void udp_spliced(struct attempt *a) {
  int fd = connected(a), ends[2];
  checked(pipe(ends), "pipe");
  checked(write(ends[1], a->canary, strlen(a->canary)), "write");
  finish(fd, splice(ends[0], NULL, fd, NULL, strlen(a->canary), 0), "splice");
}

static void quic(struct attempt *a) {
  char packet[1200] = {(char)0xc3, 0, 0,
                       0,          1, 8}; /* long header, Initial, version 1 (RFC 9000 section 17.2) */
  memcpy(packet + 32, a->canary, strlen(a->canary));
  struct sockaddr_storage to = a->to;
  ((struct sockaddr_in *)&to)->sin_port = htons(443); /* at the same place in both families */
  int fd = datagram(a);
  finish(fd, sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&to, a->to_length), "sendto");
}

static int lite(struct attempt *a) {
  int fd = socket(a->family, SOCK_DGRAM, IPPROTO_UDPLITE);
  if (fd < 0 && errno == EPROTONOSUPPORT)
    say_not_run("the kernel has no UDP-Lite");
  return checked(fd, "socket");
}

static void udp_lite(struct attempt *a) {
  send_to(a, lite(a));
}

/* ICMP by a datagram socket: without privilege where net.ipv4.ping_group_range allows it. */
static void ping(struct attempt *a) {
  char packet[256] = {a->family == AF_INET ? ICMP_ECHO : (char)ICMP6_ECHO_REQUEST};
  memcpy(packet + 8, a->canary, strlen(a->canary));
  int fd = open_socket(a->family, SOCK_DGRAM, a->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
  finish(fd, sendto(fd, packet, 8 + strlen(a->canary), 0, (struct sockaddr *)&a->to, a->to_length), "sendto");
}

/* To a resolver, which is allowed, with one control message that leads elsewhere. */
static void bent_dns(struct attempt *a, int level, int type, const void *value, size_t length) {
  char room[CMSG_SPACE(64)] = {0};
  struct sockaddr_storage to = {0};
  if (a->family == AF_INET6)
    inet_pton(AF_INET6, a->option, &((struct sockaddr_in6 *)&to)->sin6_addr);
  else
    inet_pton(AF_INET, a->option, &((struct sockaddr_in *)&to)->sin_addr);
  to.ss_family = (sa_family_t)a->family;
  ((struct sockaddr_in *)&to)->sin_port = htons(53);
  struct iovec part = {(void *)a->canary, strlen(a->canary)};
  struct msghdr message = {.msg_name = &to,
                           .msg_namelen = a->to_length,
                           .msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = room,
                           .msg_controllen = CMSG_SPACE(length)};
  struct cmsghdr *control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = level;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(length);
  memcpy(CMSG_DATA(control), value, length);
  int fd = datagram(a);
  finish(fd, sendmsg(fd, &message, 0), "sendmsg");
}

static void dns_source_route(struct attempt *a) {
  uint8_t route[8] = {IPOPT_LSRR, 7, 4};
  memcpy(route + 3, &((struct sockaddr_in *)&a->to)->sin_addr, 4);
  bent_dns(a, IPPROTO_IP, IP_RETOPTS, route, sizeof(route));
}

/* Of type 2 (RFC 6275 section 6.4), the one the kernel takes as a control message. */
static void dns_routed(struct attempt *a) {
  uint8_t header[8 + 16] = {0, 2, 2, 1};
  memcpy(header + 8, &((struct sockaddr_in6 *)&a->to)->sin6_addr, 16);
  bent_dns(a, IPPROTO_IPV6, IPV6_RTHDR, header, sizeof(header));
}

static void dns_destination_options(struct attempt *a) {
  uint8_t header[8] = {0, 0, 1, 4};
  bent_dns(a, IPPROTO_IPV6, IPV6_DSTOPTS, header, sizeof(header));
}

static void dns_hop_options(struct attempt *a) {
  uint8_t header[8] = {0, 0, 1, 4};
  bent_dns(a, IPPROTO_IPV6, IPV6_HOPOPTS, header, sizeof(header));
}

static void multicast(struct attempt *a) {
  struct sockaddr_in group = {.sin_family = AF_INET, .sin_port = htons(a->port)};
  inet_pton(AF_INET, "239.255.77.77", &group.sin_addr);
  int fd = datagram(a);
  finish(fd, sendto(fd, a->canary, strlen(a->canary), 0, (struct sockaddr *)&group, sizeof(group)), "sendto");
}

static void broadcast(struct attempt *a) {
  struct sockaddr_in everybody = {.sin_family = AF_INET, .sin_port = htons(a->port)};
  everybody.sin_addr.s_addr = INADDR_BROADCAST;
  int fd = datagram(a), on = 1;
  checked(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), "SO_BROADCAST");
  finish(fd, sendto(fd, a->canary, strlen(a->canary), 0, (struct sockaddr *)&everybody, sizeof(everybody)),
         "sendto");
}

const struct technique datagram_techniques[] = {
    {"udp", NULL, udp},
    {"udp-connected", NULL, udp_connected},
    {"udp-write", NULL, udp_write},
    {"udp-corked", NULL, udp_corked},
    {"udp-segmented", NULL, udp_segmented},
    {"udp-sendmmsg", NULL, udp_sendmmsg},
    {"udp-reconnected", NULL, udp_reconnected},
    {"udp-splice", NULL, udp_spliced},
    {"udp-multicast", NULL, multicast},
    {"udp-broadcast", NULL, broadcast},
    {"quic", NULL, quic},
    {"udp-lite", NULL, udp_lite},
    {"ping", NULL, ping},
    {"dns-source-route", NULL, dns_source_route},
    {"dns-routed", NULL, dns_routed},
    {"dns-destination-options", NULL, dns_destination_options},
    {"dns-hop-options", NULL, dns_hop_options},
    {NULL, NULL, NULL},
};
