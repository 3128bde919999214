// SPDX-License-Identifier: Apache-2.0
/*
 * The self-test's agent: a real process in an enrolled cgroup that tries what an agent would.
 *
 *   sluice-canary CGROUP_DIRECTORY
 *
 * Joins the cgroup, then reports one line per attempt on stdout: "NAME ok" or "NAME FAIL what happened".
 * 192.0.2.0/24 and 2001:db8::/32 are kept for documentation (RFC 5737, RFC 3849): nothing answers there, so a
 * connection that succeeds was taken in by the proxy, and whatever leaves meets nobody.
 * Exit code: 0 all as expected, 1 something was not, 2 could not run.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CANARY_PORT 9 /* discard */

static int failed;

static void report(const char *name, int ok, const char *what) {
  if (ok)
    printf("%s ok\n", name);
  else
    printf("%s FAIL %s\n", name, what);
  failed |= !ok;
}

static int join_cgroup(const char *directory) {
  char path[4096];
  if (snprintf(path, sizeof(path), "%s/cgroup.procs", directory) >= (int)sizeof(path))
    return -1;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  int ok = write(fd, "0", 1) == 1;
  close(fd);
  return ok ? 0 : -1;
}

/* Connected, and the peer still looks like the one that was asked for. */
static void try_connect(const char *name, int family, const char *ip) {
  struct sockaddr_storage address = {0}, peer = {0};
  socklen_t length, peer_length = sizeof(peer);
  struct timeval patience = {.tv_sec = 3};
  address.ss_family = (sa_family_t)family;
  if (family == AF_INET) {
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    in->sin_port = htons(CANARY_PORT);
    inet_pton(family, ip, &in->sin_addr);
    length = sizeof(*in);
  } else {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    in6->sin6_port = htons(CANARY_PORT);
    inet_pton(family, ip, &in6->sin6_addr);
    length = sizeof(*in6);
  }
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    report(name, 0, strerror(errno));
    return;
  }
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (connect(fd, (struct sockaddr *)&address, length))
    report(name, 0, strerror(errno));
  else if (getpeername(fd, (struct sockaddr *)&peer, &peer_length) || memcmp(&peer, &address, length) != 0)
    report(name, 0, "getpeername shows another address");
  else
    report(name, 1, "");
  close(fd);
}

static void expect_refused(const char *name, int result) {
  report(name, result < 0 && errno == EPERM, result < 0 ? strerror(errno) : "was allowed");
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: sluice-canary CGROUP_DIRECTORY\n");
    return 2;
  }
  if (join_cgroup(argv[1])) {
    fprintf(stderr, "sluice-canary: cannot join %s: %s\n", argv[1], strerror(errno));
    return 2;
  }
  try_connect("tcp4", AF_INET, "192.0.2.1");
  int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe >= 0) {
    close(probe);
    if (access("/proc/net/if_inet6", F_OK) == 0)
      try_connect("tcp6", AF_INET6, "2001:db8::1");
  }

  int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in discard = {.sin_family = AF_INET, .sin_port = htons(CANARY_PORT)};
  inet_pton(AF_INET, "192.0.2.1", &discard.sin_addr);
  expect_refused("udp", (int)sendto(udp, "x", 1, 0, (struct sockaddr *)&discard, sizeof(discard)));
  expect_refused("raw", socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
  int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  expect_refused("bindtodevice", setsockopt(tcp, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
  return failed;
}
