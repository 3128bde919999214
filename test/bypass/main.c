// SPDX-License-Identifier: Apache-2.0
/*
 * Tries one technique:
 *
 *   bypass [--cgroup DIR] [--user UID] TECHNIQUE ADDRESS PORT CANARY [OPTION]
 *   bypass --list
 *
 * Started as root and as no agent. It does what the technique needs beforehand, enters the cgroup, becomes
 * the user, executes itself again and tries. ADDRESS is an IPv4, an IPv6 or a v4-mapped address. The last
 * line it prints is JSON: {"said":"sent"|"refused"|"given"|"tally"|"not run", …}. Exit code 2 is wrong use.
 */
#include "bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct technique *const families[] = {
    tcp_techniques,     option_techniques,  uring_techniques,  datagram_techniques,
    raw_techniques,     link_techniques,    kernel_techniques, namespace_techniques,
    handoff_techniques, process_techniques, crowd_techniques,  serve_techniques,
};

static const struct technique *find(const char *name) {
  for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
    for (const struct technique *technique = families[i]; technique->name; technique++)
      if (!strcmp(technique->name, name))
        return technique;
  return NULL;
}

static int list(void) {
  for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
    for (const struct technique *technique = families[i]; technique->name; technique++)
      puts(technique->name);
  return 0;
}

static bool parse_target(struct attempt *a) {
  struct sockaddr_in *v4 = (struct sockaddr_in *)&a->to;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->to;
  if (inet_pton(AF_INET, a->address, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(a->port);
    a->family = AF_INET;
    a->to_length = sizeof(*v4);
    return true;
  }
  if (inet_pton(AF_INET6, a->address, &v6->sin6_addr) != 1)
    return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(a->port);
  a->family = AF_INET6;
  a->mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
  a->to_length = sizeof(*v6);
  return true;
}

void become_user(uid_t uid) {
  if (!uid)
    return;
  gid_t gid = uid;
  checked(setgroups(0, NULL), "setgroups");
  checked(setresgid(gid, gid, gid), "setresgid");
  checked(setresuid(uid, uid, uid), "setresuid");
}

void become_agent(struct attempt *a) {
  char path[512];
  if (*a->cgroup) {
    snprintf(path, sizeof(path), "%s/cgroup.procs", a->cgroup);
    write_file(path, "0", "enter the cgroup");
  }
  become_user(a->uid);
}

_Noreturn void exec_inside(struct attempt *a, const char *technique) {
  char port[8], uid[16];
  snprintf(port, sizeof(port), "%u", a->port);
  snprintf(uid, sizeof(uid), "%u", a->uid);
  execl("/proc/self/exe", "bypass", "--inside", "--user", uid, "--cgroup", a->cgroup, technique, a->address,
        port, a->canary, a->option, (char *)NULL);
  say_refused("exec");
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"cgroup", required_argument, NULL, 'c'},
      {"user", required_argument, NULL, 'u'},
      {"inside", no_argument, NULL, 'i'},
      {"list", no_argument, NULL, 'l'},
      {NULL, 0, NULL, 0},
  };
  struct attempt a = {.cgroup = "", .option = ""};
  bool inside = false;
  int option;
  while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
    if (option == 'c')
      a.cgroup = optarg;
    else if (option == 'u')
      a.uid = (uid_t)atoi(optarg);
    else if (option == 'i')
      inside = true;
    else if (option == 'l')
      return list();
    else
      return 2;
  }
  char **rest = argv + optind;
  if (argc - optind < 4)
    return 2;
  a.technique = rest[0];
  a.address = rest[1];
  a.port = (uint16_t)atoi(rest[2]);
  a.canary = rest[3];
  if (argc - optind > 4)
    a.option = rest[4];
  const struct technique *technique = find(a.technique);
  if (!technique || !parse_target(&a))
    return 2;
  /* A peer that closes early is an answer, not an end. */
  signal(SIGPIPE, SIG_IGN);
  if (inside) {
    technique->inside(&a);
    return 3;
  }
  if (technique->before)
    technique->before(&a);
  become_agent(&a);
  exec_inside(&a, a.technique);
}
