// SPDX-License-Identifier: Apache-2.0
/* Socket options and bindings that change the way packets take. */
#include "bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/tcp.h>
#include <linux/xfrm.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#define ROUTING_HEADER_TYPE_4 4

static int stream(struct attempt *a) {
  return open_socket(a->family, SOCK_STREAM, 0);
}

static void set(int fd, int level, int option, const void *value, socklen_t length, const char *name) {
  checked(setsockopt(fd, level, option, value, length), name);
}

static void mark(struct attempt *a) {
  int fd = stream(a), value = 0x1337;
  set(fd, SOL_SOCKET, SO_MARK, &value, sizeof(value), "SO_MARK");
  connect_and_talk(a, fd);
}

static void bind_to_device(struct attempt *a) {
  char device[IFNAMSIZ];
  default_device(device, sizeof(device));
  int fd = stream(a);
  set(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device), "SO_BINDTODEVICE");
  connect_and_talk(a, fd);
}

static void bind_to_index(struct attempt *a) {
  char device[IFNAMSIZ];
  default_device(device, sizeof(device));
  int fd = stream(a), index = (int)if_nametoindex(device);
  set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof(index), "SO_BINDTOIFINDEX");
  connect_and_talk(a, fd);
}

static void unicast_interface(struct attempt *a) {
  char device[IFNAMSIZ];
  default_device(device, sizeof(device));
  int fd = stream(a);
  uint32_t index = htonl(if_nametoindex(device));
  if (a->family == AF_INET6)
    set(fd, IPPROTO_IPV6, IPV6_UNICAST_IF, &index, sizeof(index), "IPV6_UNICAST_IF");
  else
    set(fd, IPPROTO_IP, IP_UNICAST_IF, &index, sizeof(index), "IP_UNICAST_IF");
  connect_and_talk(a, fd);
}

/* An address of the default route's device: of the socket's family, or (`link_local`) of that kind. */
static bool device_address(struct attempt *a, bool link_local, struct sockaddr_storage *out) {
  char device[IFNAMSIZ];
  struct ifaddrs *all = NULL;
  bool found = false;
  int family = a->mapped ? AF_INET : a->family;
  default_device(device, sizeof(device));
  if (getifaddrs(&all))
    return false;
  for (struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
    if (!one->ifa_addr || one->ifa_addr->sa_family != family || strcmp(one->ifa_name, device))
      continue;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)one->ifa_addr;
    if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) != link_local)
      continue;
    memset(out, 0, sizeof(*out));
    memcpy(out, one->ifa_addr, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    found = true;
  }
  freeifaddrs(all);
  if (found && a->mapped) {
    struct in_addr v4 = ((struct sockaddr_in *)out)->sin_addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof(*out));
    v6->sin6_family = AF_INET6;
    v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
    memcpy(v6->sin6_addr.s6_addr + 12, &v4, sizeof(v4));
  }
  return found;
}

static void bind_source(struct attempt *a) {
  struct sockaddr_storage source;
  if (!device_address(a, false, &source))
    say_not_run("the device has no address of this family");
  int fd = stream(a);
  checked(bind(fd, (struct sockaddr *)&source, a->to_length), "bind");
  connect_and_talk(a, fd);
}

/* A link-local source binds the socket to its device, without any option. */
static void bind_link_local(struct attempt *a) {
  struct sockaddr_storage source;
  if (!device_address(a, true, &source))
    say_not_run("the device has no link-local address");
  int fd = stream(a);
  checked(bind(fd, (struct sockaddr *)&source, sizeof(struct sockaddr_in6)), "bind");
  connect_and_talk(a, fd);
}

/* The scope of a link-local destination names a device as well. */
static void scope(struct attempt *a) {
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
  char device[IFNAMSIZ];
  default_device(device, sizeof(device));
  inet_pton(AF_INET6, a->option, &to.sin6_addr);
  to.sin6_scope_id = if_nametoindex(device);
  int fd = stream(a);
  checked(connect_within(fd, (struct sockaddr *)&to, sizeof(to), CONNECT_MS), "connect");
  talk(a, fd);
}

static void dont_route(struct attempt *a) {
  int fd = stream(a), on = 1;
  set(fd, SOL_SOCKET, SO_DONTROUTE, &on, sizeof(on), "SO_DONTROUTE");
  connect_and_talk(a, fd);
}

static void transparent(struct attempt *a) {
  int fd = stream(a), on = 1;
  if (a->family == AF_INET6)
    set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof(on), "IPV6_TRANSPARENT");
  else
    set(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on), "IP_TRANSPARENT");
  connect_and_talk(a, fd);
}

/* Source routing (RFC 791 section 3.1): the first hop is the target, whatever connect() was changed to. */
static int source_routed(struct attempt *a, uint8_t type) {
  uint8_t option[8] = {type, 7, 4};
  memcpy(option + 3, &((struct sockaddr_in *)&a->to)->sin_addr, 4);
  int fd = stream(a);
  set(fd, IPPROTO_IP, IP_OPTIONS, option, sizeof(option), "IP_OPTIONS");
  return fd;
}

static _Noreturn void fast_open(struct attempt *a, int fd) {
  long sent = sendto(fd, a->canary, strlen(a->canary), MSG_FASTOPEN, (struct sockaddr *)&a->to, a->to_length);
  if (sent < 0 && errno != EINPROGRESS)
    say_refused("sendto");
  say_sent(answered_within(fd, ANSWER_MS) ? "answered" : "no answer");
}

static void loose_route(struct attempt *a) {
  connect_and_talk(a, source_routed(a, IPOPT_LSRR));
}

static void strict_route(struct attempt *a) {
  connect_and_talk(a, source_routed(a, IPOPT_SSRR));
}

static void loose_route_fast_open(struct attempt *a) {
  fast_open(a, source_routed(a, IPOPT_LSRR));
}

static void strict_route_fast_open(struct attempt *a) {
  fast_open(a, source_routed(a, IPOPT_SSRR));
}

/* Segment routing header (RFC 8754) of two segments: the kernel fills in the last, the first is the target.
 */
static int segment_routed(struct attempt *a) {
  uint8_t header[8 + 2 * 16] = {0, 4, ROUTING_HEADER_TYPE_4, 1, 1};
  memcpy(header + 24, &((struct sockaddr_in6 *)&a->to)->sin6_addr, 16);
  int fd = stream(a);
  set(fd, IPPROTO_IPV6, IPV6_RTHDR, header, sizeof(header), "IPV6_RTHDR");
  return fd;
}

static void segments(struct attempt *a) {
  connect_and_talk(a, segment_routed(a));
}

static void segments_fast_open(struct attempt *a) {
  fast_open(a, segment_routed(a));
}

/* Type 2 (RFC 6275 section 6.4). */
static void routed(struct attempt *a) {
  uint8_t header[8 + 16] = {0, 2, 2, 1};
  memcpy(header + 8, &((struct sockaddr_in6 *)&a->to)->sin6_addr, 16);
  int fd = stream(a);
  set(fd, IPPROTO_IPV6, IPV6_RTHDR, header, sizeof(header), "IPV6_RTHDR");
  connect_and_talk(a, fd);
}

/* An IPsec policy of the socket's own: by it, packets could be put into others. */
static void ipsec(struct attempt *a) {
  struct xfrm_userpolicy_info policy = {
      .dir = XFRM_POLICY_OUT, .action = XFRM_POLICY_ALLOW, .share = XFRM_SHARE_ANY};
  policy.sel.family = (unsigned short)a->family;
  policy.lft.soft_byte_limit = policy.lft.hard_byte_limit = XFRM_INF;
  policy.lft.soft_packet_limit = policy.lft.hard_packet_limit = XFRM_INF;
  int fd = stream(a);
  if (a->family == AF_INET6)
    set(fd, IPPROTO_IPV6, IPV6_XFRM_POLICY, &policy, sizeof(policy), "IPV6_XFRM_POLICY");
  else
    set(fd, IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof(policy), "IP_XFRM_POLICY");
  connect_and_talk(a, fd);
}

static void destination_options(struct attempt *a) {
  uint8_t header[8] = {0, 0, 1, 4};
  int fd = stream(a);
  set(fd, IPPROTO_IPV6, IPV6_DSTOPTS, header, sizeof(header), "IPV6_DSTOPTS");
  connect_and_talk(a, fd);
}

static void repair(struct attempt *a) {
  int fd = stream(a), on = 1, off = 0;
  set(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on), "TCP_REPAIR");
  /* In repair mode connect() makes an established connection without a packet. */
  checked(connect(fd, (struct sockaddr *)&a->to, a->to_length), "connect");
  set(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off), "TCP_REPAIR off");
  talk(a, fd);
}

static void upper_layer(struct attempt *a) {
  int fd = stream(a);
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect");
  if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3) < 0 && errno == ENOENT)
    say_not_run("the kernel has no TLS of its own");
  talk(a, fd);
}

const struct technique option_techniques[] = {
    {"so-mark", NULL, mark},
    {"bind-to-device", NULL, bind_to_device},
    {"bind-to-ifindex", NULL, bind_to_index},
    {"unicast-if", NULL, unicast_interface},
    {"bind-source", NULL, bind_source},
    {"bind-link-local", NULL, bind_link_local},
    {"link-local-scope", NULL, scope},
    {"dont-route", NULL, dont_route},
    {"transparent", NULL, transparent},
    {"lsrr", NULL, loose_route},
    {"ssrr", NULL, strict_route},
    {"lsrr-tfo", NULL, loose_route_fast_open},
    {"ssrr-tfo", NULL, strict_route_fast_open},
    {"srh", NULL, segments},
    {"srh-tfo", NULL, segments_fast_open},
    {"routing-header", NULL, routed},
    {"ipsec-policy", NULL, ipsec},
    {"destination-options", NULL, destination_options},
    {"tcp-repair", NULL, repair},
    {"kernel-tls", NULL, upper_layer},
    {NULL, NULL, NULL},
};
