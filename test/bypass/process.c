// SPDX-License-Identifier: Apache-2.0
/* An agent that tries to be none: another cgroup, another user, another parent. OPTION is the directory of a
 * cgroup that is no agent's. */
#include "bypass.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void enter(const char *directory) {
  char path[512];
  snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
  write_file(path, "0", "leave the cgroup");
}

static void leave(struct attempt *a) {
  enter(a->option);
  connect_and_talk(a, open_socket(a->family, SOCK_STREAM, 0));
}

static void leave_and_exec(struct attempt *a) {
  enter(a->option);
  exec_inside(a, "tcp");
}

static void wait_for(pid_t child) {
  int status;
  checked(child, "fork");
  waitpid(child, &status, 0);
  _exit(0);
}

static void leave_by_child(struct attempt *a) {
  struct clone_args arguments = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
  arguments.cgroup = (uint64_t)checked(open(a->option, O_RDONLY | O_DIRECTORY), "open the cgroup");
  pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (child == 0)
    connect_and_talk(a, open_socket(a->family, SOCK_STREAM, 0));
  wait_for(child);
}

/* Its parents gone, it is a child of init. */
static void orphan(struct attempt *a) {
  pid_t parent = fork();
  if (parent == 0) {
    setsid();
    if (fork() == 0) {
      pid_t parent_was = getsid(0);
      while (getppid() == parent_was)
        usleep(1000);
      exec_inside(a, "tcp");
    }
    _exit(0);
  }
  int status;
  waitpid(parent, &status, 0);
  /* The grandchild holds standard output: whoever reads it waits for the end of that. */
  _exit(0);
}

static void as_other_user(struct attempt *a) {
  become_user((uid_t)atoi(a->option));
  exec_inside(a, "tcp");
}

/* The user of the workers, in the cgroup of the daemon: whoever is both is exempt from some rules. OPTION is
 * UID:DIRECTORY. */
static void as_worker(struct attempt *a) {
  const char *colon = strchr(a->option, ':');
  enter(colon + 1);
  become_user((uid_t)atoi(a->option));
  exec_inside(a, "tcp");
}

const struct technique process_techniques[] = {
    {"leave-cgroup", NULL, leave},
    {"leave-cgroup-exec", NULL, leave_and_exec},
    {"leave-cgroup-clone", NULL, leave_by_child},
    {"orphan", NULL, orphan},
    {"other-user", NULL, as_other_user},
    {"as-worker", NULL, as_worker},
    {NULL, NULL, NULL},
};
