/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the techniques share. A technique is one way by which an agent might get bytes past Sluice. It is
 * tried in a process of its own, says what its calls answered, and claims nothing more: whether bytes got out
 * is for the far side's packet capture to say.
 */
#ifndef BYPASS_H
#define BYPASS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* The descriptor by which the part before enrolment hands something to the part after it. */
#define HANDOFF_FD 30
/* A way that is dropped answers nothing; one that works answers long before. */
#define CONNECT_MS patient(900)
#define ANSWER_MS patient(5000)

struct attempt {
  const char *technique;
  int family;  /* of the socket: AF_INET or AF_INET6 */
  bool mapped; /* an IPv4 address on an AF_INET6 socket */
  struct sockaddr_storage to;
  socklen_t to_length;
  const char *address; /* of `to`, as text */
  uint16_t port;
  const char *canary; /* what must not be seen on the wire */
  const char *option; /* the technique's own argument, or "" */
  const char *cgroup; /* directory of the agent's cgroup, or "" to stay where it is */
  uid_t uid;          /* who the agent is */
};

/* `before` runs as root and as no agent, in the process that then becomes the agent; it may be NULL. `inside`
 * runs enrolled and as `uid`. One that ends the process in `before` has no `inside`. */
struct technique {
  const char *name;
  void (*before)(struct attempt *);
  void (*inside)(struct attempt *);
};

/* One table for each file, ended by a row without a name. */
extern const struct technique tcp_techniques[], option_techniques[], uring_techniques[],
    datagram_techniques[], raw_techniques[], link_techniques[], kernel_techniques[], namespace_techniques[],
    handoff_techniques[], process_techniques[], crowd_techniques[], serve_techniques[];

/* Each says one line of JSON and ends the process. */
_Noreturn void say_refused(const char *step); /* by errno */
_Noreturn void say_sent(const char *note);
_Noreturn void say_given(const char *note); /* a socket no hook of this tier sees was handed out */
_Noreturn void say_not_run(const char *why);
_Noreturn void say_tally(unsigned answered, unsigned refused, unsigned lost);

/* As long on a machine that is SLUICE_TEST_PATIENCE times slower: test/support/patience.ts. */
int patient(int ms);
/* The result of a call, or say_refused. */
int checked(long result, const char *step);
int open_socket(int family, int type, int protocol);
/* Connects within `ms`; -1 with errno, ETIMEDOUT when nothing answered. */
int connect_within(int fd, const struct sockaddr *to, socklen_t length, int ms);
/* Whether anything came within `ms`. */
bool answered_within(int fd, int ms);
/* Sends the canary on a connected socket and says what came of it. */
_Noreturn void talk(struct attempt *a, int fd);
/* connect() and talk(). */
_Noreturn void connect_and_talk(struct attempt *a, int fd);
/* The same for one of a crowd: 0 answered, 1 refused, 2 neither. `suffix` makes its canary its own. */
int connect_quietly(struct attempt *a, unsigned suffix);
/* Becomes the agent: the cgroup, then the user. */
void become_agent(struct attempt *a);
void become_user(uid_t uid);
/* Starts this program again, as one that is enrolled. */
_Noreturn void exec_inside(struct attempt *a, const char *technique);
/* Runs a shell command to its end; its exit code. */
int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool have_program(const char *name);
void write_file(const char *path, const char *text, const char *step);
/* The device of the default route. */
void default_device(char *name, size_t size);
/* An IPv4 UDP datagram that carries the canary to the target; its length. */
size_t build_udp4(uint8_t *packet, size_t size, const struct attempt *a, const char *source);
void send_descriptor(int channel, int fd);
int receive_descriptor(int channel);

#endif
