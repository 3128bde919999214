// SPDX-License-Identifier: Apache-2.0
/*
 * Sockets from, and to, somebody who is no agent: inherited, sent over a Unix socket, taken out of another
 * process; and helpers that do an agent's bidding.
 */
#include "bypass.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void keep(int fd) {
  checked(dup2(fd, HANDOFF_FD), "dup2");
}

static int outside_stream(struct attempt *a) {
  return open_socket(a->family, SOCK_STREAM, 0);
}

static int outside_connected(struct attempt *a) {
  int fd = outside_stream(a);
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect outside");
  return fd;
}

static void give_connected(struct attempt *a) {
  keep(outside_connected(a));
}

static void give_unconnected(struct attempt *a) {
  keep(outside_stream(a));
}

static void give_datagram(struct attempt *a) {
  keep(open_socket(a->family, SOCK_DGRAM, 0));
}

static void give_connected_datagram(struct attempt *a) {
  int fd = open_socket(a->family, SOCK_DGRAM, 0);
  checked(connect(fd, (struct sockaddr *)&a->to, a->to_length), "connect outside");
  keep(fd);
}

static void give_raw(struct attempt *a) {
  keep(open_socket(a->family, SOCK_RAW, IPPROTO_UDP));
}

static void give_multipath(struct attempt *a) {
  int fd = socket(a->family, SOCK_STREAM, IPPROTO_MPTCP);
  if (fd < 0)
    say_not_run("the kernel has no MPTCP");
  keep(fd);
}

static void give_sctp(struct attempt *a) {
  int fd = socket(a->family, SOCK_STREAM, IPPROTO_SCTP);
  if (fd < 0)
    say_not_run("the kernel has no SCTP");
  keep(fd);
}

static void give_source_routed(struct attempt *a) {
  uint8_t option[8] = {IPOPT_LSRR, 7, 4};
  memcpy(option + 3, &((struct sockaddr_in *)&a->to)->sin_addr, 4);
  int fd = outside_stream(a);
  checked(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, option, sizeof(option)), "IP_OPTIONS outside");
  keep(fd);
}

static void give_bound(struct attempt *a) {
  char device[64];
  default_device(device, sizeof(device));
  int fd = outside_stream(a);
  checked(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)),
          "SO_BINDTODEVICE outside");
  keep(fd);
}

static void give_listener(struct attempt *a) {
  struct sockaddr_storage at = {.ss_family = (sa_family_t)a->family};
  ((struct sockaddr_in *)&at)->sin_port = htons((uint16_t)atoi(a->option));
  int fd = outside_stream(a), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  checked(bind(fd, (struct sockaddr *)&at, a->to_length), "bind outside");
  checked(listen(fd, 4), "listen outside");
  keep(fd);
  puts("listening");
  fflush(stdout);
}

static void use_connected(struct attempt *a) {
  talk(a, HANDOFF_FD);
}

static void use_unconnected(struct attempt *a) {
  connect_and_talk(a, HANDOFF_FD);
}

static void use_addressed(struct attempt *a) {
  struct sockaddr_storage to = a->to;
  int type = 0;
  socklen_t length = sizeof(type);
  getsockopt(HANDOFF_FD, SOL_SOCKET, SO_TYPE, &type, &length);
  if (type == SOCK_RAW)
    ((struct sockaddr_in *)&to)->sin_port = 0;
  long sent = sendto(HANDOFF_FD, a->canary, strlen(a->canary), 0, (struct sockaddr *)&to, a->to_length);
  checked(sent, "sendto");
  say_sent(answered_within(HANDOFF_FD, CONNECT_MS) ? "answered" : "no answer");
}

static void use_listener(struct attempt *a) {
  struct timeval limit = {.tv_sec = patient(3)};
  setsockopt(HANDOFF_FD, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  int fd = checked(accept(HANDOFF_FD, NULL, NULL), "accept");
  checked(send(fd, a->canary, strlen(a->canary), 0), "send");
  usleep((useconds_t)patient(300) * 1000);
  say_sent("accepted");
}

/* The helper of the following: a process of the agent's user that is no agent, at the other end of a channel.
 */
static pid_t helper(struct attempt *a, void (*work)(struct attempt *, int)) {
  int ends[2];
  checked(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    become_user(a->uid);
    /* After that, which would clear it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* What belonged to another user a moment ago is not this user's to look into. */
    prctl(PR_SET_DUMPABLE, 1);
    work(a, ends[1]);
    _exit(0);
  }
  close(ends[1]);
  keep(ends[0]);
  return child;
}

static void pass_connected(struct attempt *a, int channel) {
  send_descriptor(channel, outside_connected(a));
  pause();
}

static void pass_unconnected(struct attempt *a, int channel) {
  send_descriptor(channel, outside_stream(a));
  pause();
}

static void connect_received(struct attempt *a, int channel) {
  char said = 'r';
  int fd = receive_descriptor(channel);
  if (connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS) == 0 &&
      send(fd, a->canary, strlen(a->canary), 0) > 0)
    said = 's';
  checked(write(channel, &said, 1), "write");
  pause();
}

static void relay(struct attempt *a, int channel) {
  char text[256];
  int fd = outside_connected(a);
  ssize_t length = read(channel, text, sizeof(text));
  if (length > 0 && send(fd, text, (size_t)length, 0) == length && answered_within(fd, ANSWER_MS))
    checked(write(channel, "s", 1), "write");
  else
    checked(write(channel, "r", 1), "write");
  pause();
}

static void before_connected_passed(struct attempt *a) {
  helper(a, pass_connected);
}

static void before_unconnected_passed(struct attempt *a) {
  helper(a, pass_unconnected);
}

static void before_given_away(struct attempt *a) {
  helper(a, connect_received);
}

static void before_helper(struct attempt *a) {
  helper(a, relay);
}

static void use_passed(struct attempt *a) {
  talk(a, receive_descriptor(HANDOFF_FD));
}

static void use_passed_unconnected(struct attempt *a) {
  connect_and_talk(a, receive_descriptor(HANDOFF_FD));
}

static _Noreturn void await_helper(void) {
  char said = 'r';
  if (read(HANDOFF_FD, &said, 1) == 1 && said == 's')
    say_sent("by the helper");
  errno = ETIMEDOUT;
  say_refused("connect by the helper");
}

static void give_away(struct attempt *a) {
  send_descriptor(HANDOFF_FD, open_socket(a->family, SOCK_STREAM, 0));
  await_helper();
}

static void ask_helper(struct attempt *a) {
  checked(write(HANDOFF_FD, a->canary, strlen(a->canary)), "write");
  await_helper();
}

static void hold_connected(struct attempt *a, int channel) {
  int fd = outside_connected(a);
  checked(write(channel, &fd, sizeof(fd)), "write");
  pause();
}

static void before_taken(struct attempt *a) {
  char text[16];
  snprintf(text, sizeof(text), "%d", helper(a, hold_connected));
  setenv("BYPASS_HELPER", text, 1);
}

/* Out of another process, of the same user, without its doing. */
static void take(struct attempt *a) {
  int remote = -1;
  checked(read(HANDOFF_FD, &remote, sizeof(remote)), "read");
  int process = checked(syscall(SYS_pidfd_open, atoi(getenv("BYPASS_HELPER")), 0), "pidfd_open");
  talk(a, checked(syscall(SYS_pidfd_getfd, process, remote, 0), "pidfd_getfd"));
}

const struct technique handoff_techniques[] = {
    {"inherited-connected", give_connected, use_connected},
    {"inherited-unconnected", give_unconnected, use_unconnected},
    {"inherited-udp", give_datagram, use_addressed},
    {"inherited-udp-connected", give_connected_datagram, use_connected},
    {"inherited-raw", give_raw, use_addressed},
    {"inherited-mptcp", give_multipath, use_unconnected},
    {"inherited-sctp", give_sctp, use_unconnected},
    {"inherited-lsrr", give_source_routed, use_unconnected},
    {"inherited-bound", give_bound, use_unconnected},
    {"inherited-listener", give_listener, use_listener},
    {"scm-rights-connected", before_connected_passed, use_passed},
    {"scm-rights-unconnected", before_unconnected_passed, use_passed_unconnected},
    {"scm-rights-out", before_given_away, give_away},
    {"pidfd-getfd", before_taken, take},
    {"unix-helper", before_helper, ask_helper},
    {NULL, NULL, NULL},
};
