// SPDX-License-Identifier: Apache-2.0
/* TCP and Multipath TCP: every way by which a connection can come about. */
#include "bypass.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int stream(struct attempt *a) {
  return open_socket(a->family, SOCK_STREAM, 0);
}

static void plain(struct attempt *a) {
  connect_and_talk(a, stream(a));
}

static void *in_thread(void *argument) {
  plain(argument);
  return NULL;
}

static void threaded(struct attempt *a) {
  pthread_t thread;
  pthread_create(&thread, NULL, in_thread, a);
  pthread_join(thread, NULL);
}

static void blocking(struct attempt *a) {
  int fd = stream(a);
  struct timeval limit = {.tv_sec = CONNECT_MS / 1000, .tv_usec = CONNECT_MS % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  checked(connect(fd, (struct sockaddr *)&a->to, a->to_length), "connect");
  talk(a, fd);
}

static _Noreturn void after_fast_open(int fd, long sent) {
  if (sent < 0 && errno != EINPROGRESS)
    say_refused("sendto");
  say_sent(answered_within(fd, ANSWER_MS) ? "answered" : "no answer");
}

static _Noreturn void fast_open(struct attempt *a, int fd) {
  long sent = sendto(fd, a->canary, strlen(a->canary), MSG_FASTOPEN, (struct sockaddr *)&a->to, a->to_length);
  after_fast_open(fd, sent);
}

static void fast_open_sendto(struct attempt *a) {
  fast_open(a, stream(a));
}

static void fast_open_sendmsg(struct attempt *a) {
  int fd = stream(a);
  struct iovec part = {(void *)a->canary, strlen(a->canary)};
  struct msghdr message = {
      .msg_name = &a->to, .msg_namelen = a->to_length, .msg_iov = &part, .msg_iovlen = 1};
  after_fast_open(fd, sendmsg(fd, &message, MSG_FASTOPEN));
}

static void fast_open_sendmmsg(struct attempt *a) {
  int fd = stream(a);
  struct iovec part = {(void *)a->canary, strlen(a->canary)};
  struct mmsghdr message = {
      .msg_hdr = {.msg_name = &a->to, .msg_namelen = a->to_length, .msg_iov = &part, .msg_iovlen = 1}};
  after_fast_open(fd, sendmmsg(fd, &message, 1, MSG_FASTOPEN));
}

static void fast_open_connect(struct attempt *a) {
  int fd = stream(a), on = 1;
  checked(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)), "TCP_FASTOPEN_CONNECT");
  connect_and_talk(a, fd);
}

/* An address family that disconnects, or is the other one, given together with data. */
static void fast_open_other_family(struct attempt *a) {
  int fd = stream(a);
  struct sockaddr_storage to = a->to;
  to.ss_family = AF_UNSPEC;
  long sent = sendto(fd, a->canary, strlen(a->canary), MSG_FASTOPEN, (struct sockaddr *)&to, a->to_length);
  after_fast_open(fd, sent);
}

static void nonblocking(struct attempt *a) {
  int fd = open_socket(a->family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (connect(fd, (struct sockaddr *)&a->to, a->to_length) < 0 && errno != EINPROGRESS)
    say_refused("connect");
  struct pollfd waited = {.fd = fd, .events = POLLOUT};
  poll(&waited, 1, CONNECT_MS);
  talk(a, fd);
}

static void disconnect(int fd) {
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  checked(connect(fd, &none, sizeof(none)), "disconnect");
}

static void reconnect(struct attempt *a) {
  int fd = stream(a);
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect");
  disconnect(fd);
  connect_and_talk(a, fd);
}

static void disconnect_fast_open(struct attempt *a) {
  int fd = stream(a);
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect");
  disconnect(fd);
  fast_open(a, fd);
}

/* An AF_INET6 socket turned into an AF_INET one, whose families then differ between its layers. */
static void addrform(struct attempt *a) {
  int fd = stream(a), family = AF_INET;
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect");
  checked(setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)), "IPV6_ADDRFORM");
  disconnect(fd);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(a->port)};
  memcpy(&to.sin_addr, (char *)&((struct sockaddr_in6 *)&a->to)->sin6_addr + 12, sizeof(to.sin_addr));
  checked(connect_within(fd, (struct sockaddr *)&to, sizeof(to), CONNECT_MS), "connect again");
  talk(a, fd);
}

static void listen_and_reconnect(struct attempt *a) {
  int fd = stream(a);
  checked(listen(fd, 1), "listen");
  disconnect(fd);
  connect_and_talk(a, fd);
}

/* Data that is in the queue before the socket is let go of. */
static void cork_and_close(struct attempt *a) {
  int fd = stream(a), on = 1;
  checked(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), "TCP_CORK");
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect");
  checked(send(fd, a->canary, strlen(a->canary), MSG_MORE), "send");
  shutdown(fd, SHUT_WR);
  say_sent(answered_within(fd, ANSWER_MS) ? "answered" : "no answer");
}

static void zero_copy(struct attempt *a) {
  int fd = stream(a), on = 1;
  checked(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)), "SO_ZEROCOPY");
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect");
  checked(send(fd, a->canary, strlen(a->canary), MSG_ZEROCOPY), "send");
  say_sent(answered_within(fd, ANSWER_MS) ? "answered" : "no answer");
}

static void spliced(struct attempt *a) {
  int fd = stream(a), ends[2];
  checked(pipe(ends), "pipe");
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect");
  checked(write(ends[1], a->canary, strlen(a->canary)), "write");
  checked(splice(ends[0], NULL, fd, NULL, strlen(a->canary), 0), "splice");
  say_sent(answered_within(fd, ANSWER_MS) ? "answered" : "no answer");
}

static int multipath(struct attempt *a) {
  int fd = socket(a->family, SOCK_STREAM, IPPROTO_MPTCP);
  if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ENOPROTOOPT))
    say_not_run("the kernel has no MPTCP");
  return checked(fd, "socket");
}

static void mptcp(struct attempt *a) {
  connect_and_talk(a, multipath(a));
}

static void mptcp_fast_open(struct attempt *a) {
  fast_open(a, multipath(a));
}

const struct technique tcp_techniques[] = {
    {"tcp", NULL, plain},
    {"tcp-blocking", NULL, blocking},
    {"tcp-thread", NULL, threaded},
    {"tcp-nonblocking", NULL, nonblocking},
    {"tcp-reconnect", NULL, reconnect},
    {"tcp-listen-reconnect", NULL, listen_and_reconnect},
    {"tcp-addrform", NULL, addrform},
    {"tcp-cork", NULL, cork_and_close},
    {"tcp-zerocopy", NULL, zero_copy},
    {"tcp-splice", NULL, spliced},
    {"tfo-sendto", NULL, fast_open_sendto},
    {"tfo-sendmsg", NULL, fast_open_sendmsg},
    {"tfo-sendmmsg", NULL, fast_open_sendmmsg},
    {"tfo-connect", NULL, fast_open_connect},
    {"tfo-unspec", NULL, fast_open_other_family},
    {"tfo-reconnect", NULL, disconnect_fast_open},
    {"mptcp", NULL, mptcp},
    {"mptcp-tfo", NULL, mptcp_fast_open},
    {NULL, NULL, NULL},
};
