// SPDX-License-Identifier: Apache-2.0
/*
 * Makes connections on loopback, one after the other, and says what each cost. It is both ends of them, so
 * that there is no scheduler in between and its own processor time is all there is to measure: the kernel
 * does a loopback connection's work in the context of whoever makes the call.
 *
 *   client tcp COUNT [LISTENER]   connect(), accept(), close() of both; LISTENER is a descriptor to accept
 * from client udp COUNT              sendto() with an address, recv()
 *
 * Prints the processor time of COUNT, nanoseconds. The first tenth is not counted.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t processor_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int bound(int type, struct sockaddr_in *at) {
  socklen_t length = sizeof(*at);
  *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, type, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof(*at)) ||
      getsockname(fd, (struct sockaddr *)at, &length))
    err(1, "a socket on loopback");
  return fd;
}

static void connection(int listener, const struct sockaddr_in *to) {
  int client = socket(AF_INET, SOCK_STREAM, 0);
  if (client < 0 || connect(client, (const struct sockaddr *)to, sizeof(*to)))
    err(1, "connect");
  int server = accept(listener, NULL, NULL);
  if (server < 0)
    err(1, "accept");
  close(client);
  close(server);
}

static void datagram(int from, int sink, const struct sockaddr_in *to) {
  char byte = 0;
  if (sendto(from, &byte, 1, 0, (const struct sockaddr *)to, sizeof(*to)) != 1 ||
      recv(sink, &byte, 1, 0) != 1)
    err(1, "a datagram");
}

int main(int argc, char **argv) {
  long count = argc > 2 ? atol(argv[2]) : 0, warm_up = count / 10;
  if (count < 1)
    errx(2, "usage: client tcp COUNT [LISTENER] | client udp COUNT");
  int tcp = !strcmp(argv[1], "tcp");
  struct sockaddr_in at;
  int sink = bound(tcp ? SOCK_STREAM : SOCK_DGRAM, &at);
  int from = tcp ? -1 : socket(AF_INET, SOCK_DGRAM, 0);
  if (tcp && argc > 3) {
    sink = atoi(argv[3]);
    fcntl(sink, F_SETFL, 0); /* it waits for what is on its way */
  } else if (tcp && listen(sink, 16)) {
    err(1, "listen");
  }

  int64_t began = 0;
  for (long n = -warm_up; n < count; n++) {
    if (n == 0)
      began = processor_ns();
    if (tcp)
      connection(sink, &at);
    else
      datagram(from, sink, &at);
  }
  printf("%lld\n", (long long)(processor_ns() - began));
  return 0;
}
