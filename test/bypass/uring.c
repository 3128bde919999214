// SPDX-License-Identifier: Apache-2.0
/* io_uring: sockets, connections and data by requests, which a kernel thread may carry out. */
#include "bypass.h"

#include <errno.h>
#include <liburing.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/ip.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* linux/io_uring.h of kernel 6.7; older headers do not name them. */
#define OP_URING_CMD 46
#define SOCKET_CMD_SETSOCKOPT 3

static struct io_uring ring;

static void set_up(unsigned flags) {
  int error = io_uring_queue_init(8, &ring, flags);
  if (error == -ENOSYS || error == -EPERM)
    say_not_run("the kernel has no io_uring, or forbids it");
  errno = -error;
  checked(error, "io_uring_setup");
}

static int finish(const char *step) {
  struct io_uring_cqe *cqe;
  struct __kernel_timespec limit = {.tv_sec = patient(3)};
  io_uring_submit(&ring);
  int error = io_uring_wait_cqe_timeout(&ring, &cqe, &limit);
  if (error) {
    errno = ETIMEDOUT;
    say_refused(step);
  }
  int result = cqe->res;
  io_uring_cqe_seen(&ring, cqe);
  errno = result < 0 ? -result : 0;
  return checked(result, step);
}

static int make_socket(int family, int type, int protocol) {
  io_uring_prep_socket(io_uring_get_sqe(&ring), family, type, protocol, 0);
  return finish("socket");
}

static _Noreturn void go_on(struct attempt *a, int fd) {
  io_uring_prep_connect(io_uring_get_sqe(&ring), fd, (struct sockaddr *)&a->to, a->to_length);
  finish("connect");
  io_uring_prep_send(io_uring_get_sqe(&ring), fd, a->canary, strlen(a->canary), 0);
  finish("send");
  say_sent(answered_within(fd, ANSWER_MS) ? "answered" : "no answer");
}

static void by_request(struct attempt *a) {
  set_up(0);
  go_on(a, make_socket(a->family, SOCK_STREAM, 0));
}

static void by_thread(struct attempt *a) {
  set_up(IORING_SETUP_SQPOLL);
  go_on(a, make_socket(a->family, SOCK_STREAM, 0));
}

/* IOSQE_ASYNC: a worker thread of the kernel makes the connection. */
static void by_worker(struct attempt *a) {
  set_up(0);
  int fd = make_socket(a->family, SOCK_STREAM, 0);
  struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
  io_uring_prep_connect(sqe, fd, (struct sockaddr *)&a->to, a->to_length);
  sqe->flags |= IOSQE_ASYNC;
  finish("connect");
  talk(a, fd);
}

static void message(struct attempt *a, int fd, int flags) {
  struct iovec part = {(void *)a->canary, strlen(a->canary)};
  struct msghdr to = {.msg_name = &a->to, .msg_namelen = a->to_length, .msg_iov = &part, .msg_iovlen = 1};
  io_uring_prep_sendmsg(io_uring_get_sqe(&ring), fd, &to, (unsigned)flags);
  finish("sendmsg");
  say_sent(answered_within(fd, CONNECT_MS) ? "answered" : "no answer");
}

static void fast_open(struct attempt *a) {
  set_up(0);
  message(a, make_socket(a->family, SOCK_STREAM, 0), MSG_FASTOPEN);
}

static void datagram(struct attempt *a) {
  set_up(IORING_SETUP_SQPOLL);
  message(a, make_socket(a->family, SOCK_DGRAM, 0), 0);
}

static void raw(struct attempt *a) {
  set_up(IORING_SETUP_SQPOLL);
  int fd = make_socket(a->family, SOCK_RAW, IPPROTO_UDP);
  message(a, fd, 0);
}

static void packet(struct attempt *a) {
  set_up(IORING_SETUP_SQPOLL);
  make_socket(AF_PACKET, SOCK_DGRAM, 0);
  say_given(a->technique);
}

/* A filter that ends the process at socket(2) and connect(2): io_uring makes both without them. */
static void under_seccomp(struct attempt *a) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_connect, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
  checked(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no-new-privs");
  checked(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), "seccomp");
  by_request(a);
}

/* setsockopt() by request, where the kernel has it (6.7). */
static void option(struct attempt *a) {
  struct option_request {
    uint8_t opcode, flags;
    uint16_t priority;
    int32_t fd;
    uint32_t command, pad;
    uint32_t level, name;
    uint32_t length, more;
    uint64_t user_data;
    uint16_t buffer, personality;
    uint32_t option_length;
    uint64_t option_value, last;
  } * request;
  uint8_t route[8] = {IPOPT_LSRR, 7, 4};
  memcpy(route + 3, &((struct sockaddr_in *)&a->to)->sin_addr, 4);
  set_up(0);
  int fd = make_socket(a->family, SOCK_STREAM, 0);
  request = (void *)io_uring_get_sqe(&ring);
  memset(request, 0, sizeof(*request));
  request->opcode = OP_URING_CMD;
  request->fd = fd;
  request->command = SOCKET_CMD_SETSOCKOPT;
  request->level = IPPROTO_IP;
  request->name = IP_OPTIONS;
  request->option_length = sizeof(route);
  request->option_value = (uint64_t)(uintptr_t)route;
  struct io_uring_cqe *cqe;
  io_uring_submit(&ring);
  if (io_uring_wait_cqe(&ring, &cqe) || cqe->res == -EOPNOTSUPP || cqe->res == -EINVAL)
    say_not_run("the kernel sets no options by io_uring");
  errno = cqe->res < 0 ? -cqe->res : 0;
  checked(cqe->res, "IP_OPTIONS");
  connect_and_talk(a, fd);
}

/* A ring whose kernel thread belongs to somebody who is no agent, and who shares it with one. */
static void share_ring(struct attempt *a) {
  set_up(IORING_SETUP_SQPOLL);
  pid_t agent = fork();
  if (agent == 0) {
    become_agent(a);
    go_on(a, make_socket(a->family, SOCK_STREAM, 0));
  }
  int status;
  waitpid(agent, &status, 0);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

const struct technique uring_techniques[] = {
    {"uring", NULL, by_request},
    {"uring-sqpoll", NULL, by_thread},
    {"uring-async", NULL, by_worker},
    {"uring-tfo", NULL, fast_open},
    {"uring-udp", NULL, datagram},
    {"uring-raw", NULL, raw},
    {"uring-packet", NULL, packet},
    {"uring-seccomp", NULL, under_seccomp},
    {"uring-setsockopt", NULL, option},
    {"uring-shared", share_ring, NULL},
    {NULL, NULL, NULL},
};
