// SPDX-License-Identifier: Apache-2.0
/*
 * An agent that connects through io_uring: the socket, the connection, sending and receiving are all
 * requests.
 *
 *   io-uring-connect IP PORT [sqpoll]
 *
 * With `sqpoll` a kernel thread takes the requests, so that connect() runs in no system call of this process.
 * Prints its pid and what it received; exit code 1 and the step that failed otherwise, 77 where the kernel
 * has no io_uring or forbids it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct io_uring ring;

static int finish(const char *step) {
  struct io_uring_cqe *cqe;
  int submitted = io_uring_submit(&ring);
  if (submitted < 0 || io_uring_wait_cqe(&ring, &cqe)) {
    fprintf(stderr, "%s: no completion\n", step);
    return -EIO;
  }
  int result = cqe->res;
  io_uring_cqe_seen(&ring, cqe);
  if (result < 0)
    fprintf(stderr, "%s: %s\n", step, strerror(-result));
  return result;
}

int main(int argc, char **argv) {
  if (argc < 3)
    return 2;
  unsigned flags = argc > 3 ? IORING_SETUP_SQPOLL : 0;
  int error = io_uring_queue_init(8, &ring, flags);
  if (error) {
    fprintf(stderr, "io_uring_setup: %s\n", strerror(-error));
    return 77;
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &to.sin_addr);
  char answer[256] = {0};

  struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
  io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM, 0, 0);
  int fd = finish("socket");
  if (fd < 0)
    return 1;
  sqe = io_uring_get_sqe(&ring);
  io_uring_prep_connect(sqe, fd, (struct sockaddr *)&to, sizeof(to));
  if (finish("connect") < 0)
    return 1;
  sqe = io_uring_get_sqe(&ring);
  io_uring_prep_send(sqe, fd, "hello", 5, 0);
  if (finish("send") < 0)
    return 1;
  sqe = io_uring_get_sqe(&ring);
  io_uring_prep_recv(sqe, fd, answer, sizeof(answer) - 1, 0);
  if (finish("recv") < 0)
    return 1;
  printf("%d %s\n", getpid(), answer);
  return 0;
}
