// SPDX-License-Identifier: Apache-2.0
/* Connects to loopback, where nobody listens, and exits with 1 if somebody does: then it is an agent. */
#include <arpa/inet.h>
#include <sys/socket.h>

int main(void) {
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(4321), .sin_addr.s_addr = htonl(0x7f000701)};
  return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof(to)) == 0;
}
