// SPDX-License-Identifier: Apache-2.0
/* Network namespaces of the agent's own making, and address translation in them and in the host's. */
#include "bypass.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo"};
  int fd = open_socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(fd, SIOCGIFFLAGS, &request);
  request.ifr_flags |= IFF_UP;
  checked(ioctl(fd, SIOCSIFFLAGS, &request), "lo up");
  close(fd);
}

/* Without a mapping, what it executes would have no capabilities. */
static void become_root_inside(uid_t uid) {
  char text[32];
  write_file("/proc/self/setgroups", "deny", "setgroups");
  snprintf(text, sizeof(text), "0 %u 1", uid);
  write_file("/proc/self/uid_map", text, "uid_map");
  write_file("/proc/self/gid_map", text, "gid_map");
}

static void enter_own(struct attempt *a) {
  int error = unshare(a->uid ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET);
  if (error && (errno == EINVAL || errno == ENOSPC || errno == EPERM) && a->uid)
    say_not_run("the kernel gives users no namespaces");
  checked(error, "unshare");
  if (a->uid)
    become_root_inside(a->uid);
  loopback_up();
}

static void own(struct attempt *a) {
  enter_own(a);
  connect_and_talk(a, open_socket(a->family, SOCK_STREAM, 0));
}

static const char *rules(struct attempt *a, char *text, size_t size) {
  int v4 = a->family == AF_INET;
  snprintf(
      text, size,
      "table %s bypass%d { chain out { type nat hook output priority -100; %s daddr %s tcp dport %s dnat to "
      "%s%s%s:%u; }; chain post { type nat hook postrouting priority 100; %s daddr %s masquerade; }; }",
      v4 ? "ip" : "ip6", getpid(), v4 ? "ip" : "ip6", v4 ? "127.0.0.1" : "::1", a->option, v4 ? "" : "[",
      a->address, v4 ? "" : "]", a->port, v4 ? "ip" : "ip6", a->address);
  return text;
}

/* Sends what goes to the proxy's port elsewhere, after connect() has been redirected to it. OPTION: the
 * ports, as a set of nft. */
static _Noreturn void translate(struct attempt *a) {
  char text[1024];
  if (!have_program("nft"))
    say_not_run("no nft on this machine");
  if (shell("echo '%s' | PATH=$PATH:/sbin:/usr/sbin nft -f -", rules(a, text, sizeof(text)))) {
    errno = EPERM;
    say_refused("nft");
  }
  /* The rules must go, whatever comes of the attempt. */
  pid_t child = fork();
  if (child == 0)
    connect_and_talk(a, open_socket(a->family, SOCK_STREAM, 0));
  int status;
  waitpid(child, &status, 0);
  shell("PATH=$PATH:/sbin:/usr/sbin nft delete table %s bypass%d", a->family == AF_INET ? "ip" : "ip6",
        getpid());
  _exit(0);
}

static void host_translation(struct attempt *a) {
  translate(a);
}

/* Every packet of loopback once more, out of the device that leads away. */
static void mirror(struct attempt *a) {
  char device[IFNAMSIZ];
  if (!have_program("nft"))
    say_not_run("no nft on this machine");
  default_device(device, sizeof(device));
  if (shell("echo 'table netdev bypass%d { chain out { type filter hook egress device lo priority 0; tcp "
            "dport %s dup to "
            "\"%s\"; }; }' | PATH=$PATH:/sbin:/usr/sbin nft -f -",
            getpid(), a->option, device)) {
    errno = EPERM;
    say_refused("nft");
  }
  pid_t child = fork();
  if (child == 0)
    connect_and_talk(a, open_socket(a->family, SOCK_STREAM, 0));
  int status;
  waitpid(child, &status, 0);
  shell("PATH=$PATH:/sbin:/usr/sbin nft delete table netdev bypass%d", getpid());
  _exit(0);
}

static void own_translation(struct attempt *a) {
  enter_own(a);
  translate(a);
}

/* A namespace of its own with a cable into the host's, which forwards. */
static void own_with_cable(struct attempt *a) {
  int ready[2], done[2];
  char byte = 0;
  checked(pipe(ready), "pipe");
  checked(pipe(done), "pipe");
  pid_t child = fork();
  if (child == 0) {
    checked(unshare(CLONE_NEWNET), "unshare");
    loopback_up();
    checked(write(ready[1], &byte, 1), "write");
    checked(read(done[0], &byte, 1), "read");
    if (shell(
            "ip addr add 10.203.0.2/24 dev bp1 && ip link set bp1 up && ip route add default via 10.203.0.1"))
      say_not_run("the namespace could not be configured");
    connect_and_talk(a, open_socket(a->family, SOCK_STREAM, 0));
  }
  checked(read(ready[0], &byte, 1), "read");
  int failed =
      shell("ip link add bp0 type veth peer name bp1 netns %d && ip addr add 10.203.0.1/24 dev bp0 && "
            "ip link set bp0 up && echo 1 > /proc/sys/net/ipv4/ip_forward",
            child);
  if (failed) {
    errno = EPERM;
    say_refused("configure a cable");
  }
  checked(write(done[1], &byte, 1), "write");
  int status;
  waitpid(child, &status, 0);
  _exit(0);
}

/* Namespaces that change what a process is called, by number, time and cgroup. */
static void other_names(struct attempt *a) {
  int flags = CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWTIME;
  int error = unshare(flags | (a->uid ? CLONE_NEWUSER : 0));
  if (error && (errno == EINVAL || errno == ENOSPC || errno == EPERM) && a->uid)
    say_not_run("the kernel gives users no namespaces");
  checked(error, "unshare");
  pid_t child = checked(fork(), "fork");
  if (child == 0)
    exec_inside(a, "tcp");
  int status;
  waitpid(child, &status, 0);
  _exit(0);
}

const struct technique namespace_techniques[] = {
    {"other-names", NULL, other_names},
    {"mirror", NULL, mirror},
    {"own-netns", NULL, own},
    {"own-netns-dnat", NULL, own_translation},
    {"own-netns-veth", NULL, own_with_cable},
    {"dnat", NULL, host_translation},
    {NULL, NULL, NULL},
};
