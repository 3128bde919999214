// SPDX-License-Identifier: Apache-2.0
/* Raw sockets, SCTP, and other protocols of the internet families. */
#include "bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IPPROTO_L2TP_NUMBER 115

static _Noreturn void send_bytes(int fd, const void *bytes, size_t length, const void *to, socklen_t size) {
  checked(sendto(fd, bytes, length, 0, to, size), "sendto");
  say_sent("no answer");
}

/* A raw socket of IPv6 takes no port. */
static socklen_t without_port(struct attempt *a, struct sockaddr_storage *to) {
  *to = a->to;
  ((struct sockaddr_in *)to)->sin_port = 0;
  return a->to_length;
}

static void raw_udp(struct attempt *a) {
  struct sockaddr_storage to;
  socklen_t length = without_port(a, &to);
  int fd = open_socket(a->family, SOCK_RAW, IPPROTO_UDP);
  send_bytes(fd, a->canary, strlen(a->canary), &to, length);
}

static void raw_icmp(struct attempt *a) {
  struct sockaddr_storage to;
  socklen_t length = without_port(a, &to);
  int fd = open_socket(a->family, SOCK_RAW, a->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
  send_bytes(fd, a->canary, strlen(a->canary), &to, length);
}

static void raw_own_protocol(struct attempt *a) {
  struct sockaddr_storage to;
  socklen_t length = without_port(a, &to);
  int fd = open_socket(a->family, SOCK_RAW, 253); /* for experiments, RFC 3692 */
  send_bytes(fd, a->canary, strlen(a->canary), &to, length);
}

static void own_header(struct attempt *a) {
  uint8_t packet[512];
  size_t length = build_udp4(packet, sizeof(packet), a, "0.0.0.0");
  int fd = open_socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  send_bytes(fd, packet, length, &a->to, a->to_length);
}

/* The packet's header says loopback, and the address it is sent to does not; and the other way round. */
static void lying_header(struct attempt *a) {
  uint8_t packet[512];
  struct attempt lie = *a;
  inet_pton(AF_INET, "127.0.0.1", &((struct sockaddr_in *)&lie.to)->sin_addr);
  size_t length = build_udp4(packet, sizeof(packet), &lie, "127.0.0.1");
  int fd = open_socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  send_bytes(fd, packet, length, &a->to, a->to_length);
}

static void lying_address(struct attempt *a) {
  uint8_t packet[512];
  struct sockaddr_in loopback = {.sin_family = AF_INET};
  inet_pton(AF_INET, "127.0.0.1", &loopback.sin_addr);
  size_t length = build_udp4(packet, sizeof(packet), a, "0.0.0.0");
  int fd = open_socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  send_bytes(fd, packet, length, &loopback, sizeof(loopback));
}

static void sctp(struct attempt *a, int type) {
  int fd = socket(a->family, type, IPPROTO_SCTP);
  if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
    say_not_run("the kernel has no SCTP");
  checked(fd, "socket");
  connect_and_talk(a, fd);
}

static void sctp_stream(struct attempt *a) {
  sctp(a, SOCK_STREAM);
}

static void sctp_packets(struct attempt *a) {
  sctp(a, SOCK_SEQPACKET);
}

static void l2tp(struct attempt *a) {
  int fd = socket(a->family, SOCK_DGRAM, IPPROTO_L2TP_NUMBER);
  if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
    say_not_run("the kernel has no L2TP");
  checked(fd, "socket");
  send_bytes(fd, a->canary, strlen(a->canary), &a->to, a->to_length);
}

const struct technique raw_techniques[] = {
    {"raw-udp", NULL, raw_udp},
    {"raw-icmp", NULL, raw_icmp},
    {"raw-protocol", NULL, raw_own_protocol},
    {"hdrincl", NULL, own_header},
    {"hdrincl-lying-header", NULL, lying_header},
    {"hdrincl-lying-address", NULL, lying_address},
    {"sctp-stream", NULL, sctp_stream},
    {"sctp-packets", NULL, sctp_packets},
    {"l2tp", NULL, l2tp},
    {NULL, NULL, NULL},
};
