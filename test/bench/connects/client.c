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
#include "cost.h"
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in at;
static int sink, from;

static int bound(int type) {
  socklen_t length = sizeof(at);
  at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, type, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
      getsockname(fd, (struct sockaddr *)&at, &length))
    err(1, "a socket on loopback");
  return fd;
}

static void connection(void) {
  int client = socket(AF_INET, SOCK_STREAM, 0);
  if (client < 0 || connect(client, (const struct sockaddr *)&at, sizeof(at)))
    err(1, "connect");
  int server = accept(sink, NULL, NULL);
  if (server < 0)
    err(1, "accept");
  close(client);
  close(server);
}

static void datagram(void) {
  char byte = 0;
  if (sendto(from, &byte, 1, 0, (const struct sockaddr *)&at, sizeof(at)) != 1 ||
      recv(sink, &byte, 1, 0) != 1)
    err(1, "a datagram");
}

int main(int argc, char **argv) {
  long count = argc > 2 ? atol(argv[2]) : 0;
  if (count < 1)
    errx(2, "usage: client tcp COUNT [LISTENER] | client udp COUNT");
  int tcp = !strcmp(argv[1], "tcp");
  sink = bound(tcp ? SOCK_STREAM : SOCK_DGRAM);
  from = tcp ? -1 : socket(AF_INET, SOCK_DGRAM, 0);
  if (tcp && argc > 3) {
    sink = atoi(argv[3]);
    fcntl(sink, F_SETFL, 0); /* it waits for what is on its way */
  } else if (tcp && listen(sink, 16)) {
    err(1, "listen");
  }
  print_cost(count, tcp ? connection : datagram);
  return 0;
}
