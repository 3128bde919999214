// SPDX-License-Identifier: Apache-2.0
/*
 * The self-test's agent: a real process in an enrolled cgroup that tries what an agent would.
 *
 *   sluice-canary CGROUP_DIRECTORY SOCKET_PATH [lsm]
 *
 * Joins the cgroup, then reports one line per attempt on stdout: "NAME ok" or "NAME FAIL what happened". What
 * only the BPF LSM refuses is "NAME ok" or "NAME open what happened", which is no failure; with `lsm` nothing
 * else is tried. SOCKET_PATH is closed to agents, and made here. The last line is "done ok". 192.0.2.0/24 and
 * 2001:db8::/32 are kept for documentation (RFC 5737, RFC 3849): nothing answers there, so a connection that
 * succeeds was taken in by the proxy, and whatever leaves meets nobody. Exit code: 0 all as expected, 1
 * something was not, 2 could not run.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CANARY_PORT 9 /* discard */
#define FAMILY_NO_AGENT_HAS AF_VSOCK
#define FSCONFIG_SET_STRING 1 /* linux/mount.h */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

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

static void expect_lsm(const char *name, int refused, const char *what) {
  if (refused)
    printf("%s ok\n", name);
  else
    printf("%s open %s\n", name, what);
}

static const char *said(int result) {
  return result < 0 ? strerror(errno) : "was allowed";
}

/* What somebody else has opened: made before this process is an agent. */
struct foreign {
  int connected; /* UDP, over loopback */
  int multipath; /* MPTCP, not connected; -1 where the kernel has none */
  int listener;  /* TCP, with a connection that waits */
  int inbox;     /* of a socket pair, with a socket on its way */
  int closed;    /* listens at a path that is closed to agents */
  struct sockaddr_un closed_address;
};

/* Bound to loopback; `address` is set to where. */
static int bound(int type, struct sockaddr_in *address) {
  socklen_t length = sizeof(*address);
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)address, length) ||
      getsockname(fd, (struct sockaddr *)address, &length))
    return -1;
  return fd;
}

static int connected_to(int type, const struct sockaddr_in *address) {
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)))
    return -1;
  return fd;
}

/* Room for one descriptor. */
union control {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr align;
};

static int give(int through, int fd) {
  union control control = {0};
  struct iovec byte = {.iov_base = "x", .iov_len = 1};
  struct msghdr message = {.msg_iov = &byte,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof(control.bytes)};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(fd));
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  return sendmsg(through, &message, 0) == 1 ? 0 : -1;
}

static int make_foreign(struct foreign *foreign, const char *path) {
  struct sockaddr_in udp, tcp;
  int pair[2];
  int receiver = bound(SOCK_DGRAM, &udp);
  foreign->listener = bound(SOCK_STREAM, &tcp);
  if (receiver < 0 || foreign->listener < 0 || listen(foreign->listener, 1))
    return -1;
  foreign->connected = connected_to(SOCK_DGRAM, &udp);
  int waiting = connected_to(SOCK_STREAM, &tcp);
  if (foreign->connected < 0 || waiting < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) ||
      give(pair[0], foreign->connected))
    return -1;
  foreign->inbox = pair[1];
  foreign->multipath = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
  foreign->closed_address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof(foreign->closed_address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(foreign->closed_address.sun_path, path);
  foreign->closed = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  unlink(path);
  if (foreign->closed < 0 ||
      bind(foreign->closed, (struct sockaddr *)&foreign->closed_address, sizeof(foreign->closed_address)) ||
      listen(foreign->closed, 1))
    return -1;
  return 0;
}

/* A refusal leaves the message without its descriptor. */
static void try_receive(int inbox) {
  union control control = {0};
  char byte;
  struct iovec room = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {.msg_iov = &room,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof(control.bytes)};
  int result = (int)recvmsg(inbox, &message, MSG_CMSG_CLOEXEC);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  expect_lsm("lsm_receive", result == 1 && (!header || header->cmsg_type != SCM_RIGHTS), said(result));
}

/* Neither TCP nor UDP. Where there is none of it to be had without a module, there is nothing to try. */
static void try_unseen_connect(int fd) {
  struct sockaddr_in discard = {.sin_family = AF_INET, .sin_port = htons(CANARY_PORT)};
  if (fd < 0)
    return;
  inet_pton(AF_INET, "192.0.2.1", &discard.sin_addr);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  int result = connect(fd, (struct sockaddr *)&discard, sizeof(discard));
  expect_lsm("lsm_connect", result < 0 && errno == EPERM, said(result));
}

/* A file system every kernel has and nobody can mount; naming its source is what is refused. A unit written
 * for an older version does not let the daemon begin a mount. */
static void try_mount(void) {
  int context = (int)syscall(SYS_fsopen, "sockfs", 0);
  if (context < 0)
    return;
  int result = (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", "canary", 0);
  expect_lsm("lsm_mount", result < 0 && errno == EPERM, said(result));
  close(context);
}

static void try_lsm(struct foreign *foreign) {
  int result = socket(FAMILY_NO_AGENT_HAS, SOCK_STREAM | SOCK_CLOEXEC, 0);
  expect_lsm("lsm_create", result < 0 && errno == EPERM, said(result));
  result = (int)send(foreign->connected, "x", 1, MSG_DONTWAIT);
  expect_lsm("lsm_send", result < 0 && errno == EPERM, said(result));
  result = accept4(foreign->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  expect_lsm("lsm_accept", result < 0 && errno == EPERM, said(result));
  try_receive(foreign->inbox);
  try_unseen_connect(foreign->multipath);
  try_mount();
  int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  result = connect(client, (struct sockaddr *)&foreign->closed_address, sizeof(foreign->closed_address));
  expect_lsm("lsm_unix", result < 0 && errno == EPERM, said(result));
}

static void try_base(void) {
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
}

int main(int argc, char **argv) {
  struct foreign foreign = {0};
  int lsm_only = argc == 4 && strcmp(argv[3], "lsm") == 0;
  if (argc != 3 && !lsm_only) {
    fprintf(stderr, "usage: sluice-canary CGROUP_DIRECTORY SOCKET_PATH [lsm]\n");
    return 2;
  }
  if (make_foreign(&foreign, argv[2])) {
    fprintf(stderr, "sluice-canary: cannot make its sockets: %s\n", strerror(errno));
    return 2;
  }
  if (join_cgroup(argv[1])) {
    fprintf(stderr, "sluice-canary: cannot join %s: %s\n", argv[1], strerror(errno));
    return 2;
  }
  if (!lsm_only)
    try_base();
  try_lsm(&foreign);
  unlink(argv[2]);
  printf("done ok\n");
  return failed;
}
