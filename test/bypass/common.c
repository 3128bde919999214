// SPDX-License-Identifier: Apache-2.0
/* What the techniques share: saying what happened, connecting with an end, and building a packet by hand. */
#include "bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn void say_refused(const char *step) {
  const char *name = strerrorname_np(errno);
  printf("{\"said\":\"refused\",\"step\":\"%s\",\"errno\":\"%s\"}\n", step, name ? name : "unknown");
  fflush(stdout);
  _exit(0);
}

static _Noreturn void say(const char *said, const char *key, const char *text) {
  printf("{\"said\":\"%s\",\"%s\":\"%s\"}\n", said, key, text);
  fflush(stdout);
  _exit(0);
}

_Noreturn void say_sent(const char *note) {
  say("sent", "note", note);
}

_Noreturn void say_given(const char *note) {
  say("given", "note", note);
}

_Noreturn void say_not_run(const char *why) {
  say("not run", "why", why);
}

_Noreturn void say_tally(unsigned answered, unsigned refused, unsigned lost) {
  printf("{\"said\":\"tally\",\"answered\":%u,\"refused\":%u,\"lost\":%u}\n", answered, refused, lost);
  fflush(stdout);
  _exit(0);
}

int patient(int ms) {
  const char *text = getenv("SLUICE_TEST_PATIENCE");
  int times = text ? atoi(text) : 1;
  return times >= 1 && times <= 100 ? ms * times : ms;
}

int checked(long result, const char *step) {
  if (result < 0)
    say_refused(step);
  return (int)result;
}

int open_socket(int family, int type, int protocol) {
  return checked(socket(family, type, protocol), "socket");
}

int connect_within(int fd, const struct sockaddr *to, socklen_t length, int ms) {
  int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  int result = connect(fd, to, length);
  if (result < 0 && errno == EINPROGRESS) {
    struct pollfd waited = {.fd = fd, .events = POLLOUT};
    int error = ETIMEDOUT;
    socklen_t size = sizeof(error);
    if (poll(&waited, 1, ms) == 1)
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    result = error ? -1 : 0;
  }
  int saved = errno;
  fcntl(fd, F_SETFL, flags);
  errno = saved;
  return result;
}

bool answered_within(int fd, int ms) {
  struct pollfd waited = {.fd = fd, .events = POLLIN};
  char answer[512];
  return poll(&waited, 1, ms) == 1 && recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0;
}

_Noreturn void talk(struct attempt *a, int fd) {
  checked(send(fd, a->canary, strlen(a->canary), 0), "send");
  say_sent(answered_within(fd, ANSWER_MS) ? "answered" : "no answer");
}

_Noreturn void connect_and_talk(struct attempt *a, int fd) {
  checked(connect_within(fd, (struct sockaddr *)&a->to, a->to_length, CONNECT_MS), "connect");
  talk(a, fd);
}

int connect_quietly(struct attempt *a, unsigned suffix) {
  char text[256];
  snprintf(text, sizeof(text), "%s:%u;", a->canary, suffix);
  int fd = socket(a->family, SOCK_STREAM, 0);
  if (fd < 0)
    return 1;
  int result = 2;
  if (connect_within(fd, (struct sockaddr *)&a->to, a->to_length, patient(20000)) < 0)
    result = errno == ETIMEDOUT ? 2 : 1;
  else if (send(fd, text, strlen(text), 0) > 0 && answered_within(fd, patient(20000)))
    result = 0;
  close(fd);
  return result;
}

int shell(const char *format, ...) {
  char command[2048];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(command, sizeof(command), format, arguments);
  va_end(arguments);
  pid_t child = fork();
  if (child == 0) {
    /* What it prints is for whoever debugs; the last line of standard output is the verdict's. */
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) < 0)
    return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool have_program(const char *name) {
  return shell("PATH=$PATH:/sbin:/usr/sbin command -v %s >/dev/null", name) == 0;
}

void write_file(const char *path, const char *text, const char *step) {
  int fd = checked(open(path, O_WRONLY | O_CLOEXEC), step);
  checked(write(fd, text, strlen(text)), step);
  close(fd);
}

void default_device(char *name, size_t size) {
  char line[256], device[64];
  unsigned destination;
  FILE *routes = fopen("/proc/net/route", "re");
  snprintf(name, size, "lo");
  while (routes && fgets(line, sizeof(line), routes))
    if (sscanf(line, "%63s %x", device, &destination) == 2 && destination == 0)
      snprintf(name, size, "%s", device);
  if (routes)
    fclose(routes);
}

static uint16_t checksum(const uint8_t *data, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < length; i += 2)
    sum += (uint32_t)(data[i] << 8 | data[i + 1]);
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

size_t build_udp4(uint8_t *packet, size_t size, const struct attempt *a, const char *source) {
  size_t payload = strlen(a->canary), total = 28 + payload;
  if (total > size)
    return 0;
  memset(packet, 0, 28);
  packet[0] = 0x45;
  packet[2] = (uint8_t)(total >> 8);
  packet[3] = (uint8_t)total;
  packet[8] = 64;
  packet[9] = IPPROTO_UDP;
  inet_pton(AF_INET, source, packet + 12);
  memcpy(packet + 16, &((const struct sockaddr_in *)&a->to)->sin_addr, 4);
  uint16_t sum = checksum(packet, 20);
  packet[10] = (uint8_t)(sum >> 8);
  packet[11] = (uint8_t)sum;
  /* Ports and length; a checksum of zero is none. */
  packet[20] = packet[22] = (uint8_t)(a->port >> 8);
  packet[21] = packet[23] = (uint8_t)a->port;
  packet[24] = (uint8_t)((8 + payload) >> 8);
  packet[25] = (uint8_t)(8 + payload);
  memcpy(packet + 28, a->canary, payload);
  return total;
}

void send_descriptor(int channel, int fd) {
  char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
  struct cmsghdr *control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(control), &fd, sizeof(fd));
  checked(sendmsg(channel, &message, 0), "sendmsg of a descriptor");
}

int receive_descriptor(int channel) {
  char byte, room[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
  checked(recvmsg(channel, &message, 0), "recvmsg of a descriptor");
  struct cmsghdr *control = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (control && control->cmsg_type == SCM_RIGHTS)
    memcpy(&fd, CMSG_DATA(control), sizeof(fd));
  if (fd < 0) {
    /* The kernel leaves out a descriptor that a security module does not let in. */
    errno = EACCES;
    say_refused("SCM_RIGHTS");
  }
  return fd;
}
