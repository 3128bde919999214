// SPDX-License-Identifier: Apache-2.0
/*
 * Serving: an agent that lets others connect to it, one that takes the proxy's port, and, for the far side,
 * the visitor. OPTION is the port to serve at, or to visit.
 */
#include "bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int bound(struct attempt *a, int type, bool to_address) {
  struct sockaddr_storage at = {.ss_family = (sa_family_t)a->family};
  int fd = open_socket(a->family, type, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (to_address) {
    at = a->to;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  }
  ((struct sockaddr_in *)&at)->sin_port = htons((uint16_t)atoi(a->option));
  checked(bind(fd, (struct sockaddr *)&at, a->to_length), "bind");
  return fd;
}

static void await(int fd, const char *step) {
  struct pollfd waited = {.fd = fd, .events = POLLIN};
  puts("listening");
  fflush(stdout);
  if (poll(&waited, 1, patient(3000)) != 1) {
    errno = ETIMEDOUT;
    say_refused(step);
  }
}

static _Noreturn void accept_one(struct attempt *a, int queue) {
  int fd = bound(a, SOCK_STREAM, false);
  checked(listen(fd, queue), "listen");
  await(fd, "accept");
  int peer = checked(accept(fd, NULL, NULL), "accept");
  checked(send(peer, a->canary, strlen(a->canary), 0), "send");
  usleep((useconds_t)patient(300) * 1000);
  say_sent("accepted");
}

static void serve_tcp(struct attempt *a) {
  accept_one(a, 16);
}

/* With a queue of none the kernel answers by SYN cookies, in packets that are no socket's. */
static void serve_cookies(struct attempt *a) {
  accept_one(a, 0);
}

static void serve_udp(struct attempt *a) {
  char text[256];
  struct sockaddr_storage from;
  socklen_t length = sizeof(from);
  int fd = bound(a, SOCK_DGRAM, false);
  await(fd, "recvfrom");
  checked(recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &length), "recvfrom");
  checked(sendto(fd, a->canary, strlen(a->canary), 0, (struct sockaddr *)&from, length), "sendto");
  say_sent("no answer");
}

/* Whoever comes, five times over: a queue that is full makes the kernel use cookies. */
static void visit(struct attempt *a) {
  int visitors[5];
  bool got = false;
  for (int i = 0; i < 5; i++) {
    visitors[i] = open_socket(a->family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)!connect(visitors[i], (struct sockaddr *)&a->to, a->to_length);
  }
  for (int i = 0; i < 5; i++)
    got = answered_within(visitors[i], 500) || got;
  say_sent(got ? "got something" : "nothing");
}

static void visit_udp(struct attempt *a) {
  int fd = open_socket(a->family, SOCK_DGRAM, 0);
  checked(sendto(fd, "hello", 5, 0, (struct sockaddr *)&a->to, a->to_length), "sendto");
  say_sent(answered_within(fd, 1500) ? "got something" : "nothing");
}

/* Has all connections to the port steered to the third who listens, behind two workers, by a filter that
 * needs no privilege. */
static void steer(int fd) {
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 2)};
  struct sock_fprog filter = {1, code};
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter));
}

/* Listens at the proxy's own address and port, beside it or in its place, and keeps what it is given. Its
 * queue is of none: what the kernel then answers for it is no socket's, and nobody's to drop. */
static void impostor(struct attempt *a) {
  int fd = bound(a, SOCK_STREAM, true);
  checked(listen(fd, 0), "listen");
  steer(fd);
  struct pollfd waited = {.fd = fd, .events = POLLIN};
  puts("listening");
  fflush(stdout);
  for (int n = 0; n < 64 && poll(&waited, 1, patient(4000)) == 1; n++) {
    char text[256];
    int peer = accept(fd, NULL, NULL);
    struct pollfd data = {.fd = peer, .events = POLLIN};
    ssize_t length = poll(&data, 1, patient(500)) == 1 ? recv(peer, text, sizeof(text), 0) : 0;
    if (length > 0 && memmem(text, (size_t)length, a->canary, strlen(a->canary)))
      say_sent("stolen");
    close(peer);
  }
  errno = ETIMEDOUT;
  say_refused("accept");
}

const struct technique serve_techniques[] = {
    {"inbound", NULL, serve_tcp}, {"inbound-cookies", NULL, serve_cookies}, {"inbound-udp", NULL, serve_udp},
    {"visit", NULL, visit},       {"visit-udp", NULL, visit_udp},           {"impostor", NULL, impostor},
    {NULL, NULL, NULL},
};
