// SPDX-License-Identifier: Apache-2.0
/* Many processes at once, to find a moment at which one of them is not governed. OPTION is how many. */
#include "bypass.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANES 8

struct tally {
  unsigned of[3]; /* answered, refused, neither: what connect_quietly gives */
};

static void count(struct tally *tally, int status) {
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 2;
  tally->of[code > 2 ? 2 : code]++;
}

static _Noreturn void say(struct tally *tally) {
  say_tally(tally->of[0], tally->of[1], tally->of[2]);
}

/* Starts `total` children, LANES at a time. */
static _Noreturn void each(struct attempt *a, pid_t (*start)(struct attempt *, unsigned)) {
  unsigned total = (unsigned)atoi(a->option), started = 0, running = 0;
  struct tally tally = {0};
  while (started < total || running) {
    while (started < total && running < LANES) {
      checked(start(a, started++), "start");
      running++;
    }
    int status;
    if (wait(&status) > 0) {
      count(&tally, status);
      running--;
    }
  }
  say(&tally);
}

static pid_t start_exec(struct attempt *a, unsigned number) {
  pid_t child = fork();
  if (child == 0) {
    static char own[16];
    struct attempt one = *a;
    snprintf(own, sizeof(own), "%u", number);
    one.option = own;
    exec_inside(&one, "one-of-many");
  }
  return child;
}

static void exec_race(struct attempt *a) {
  each(a, start_exec);
}

static void one_of_many(struct attempt *a) {
  _exit(connect_quietly(a, (unsigned)atoi(a->option)));
}

/* Each has two children until there are enough, and each connects. */
static void fork_bomb(struct attempt *a) {
  unsigned total = (unsigned)atoi(a->option);
  struct shared {
    unsigned made;
    struct tally tally;
  } *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  checked(shared == MAP_FAILED ? -1 : 0, "mmap");
  pid_t first = getpid();
  for (int child = 0; child < 2; child++) {
    if (__atomic_add_fetch(&shared->made, 1, __ATOMIC_RELAXED) > total)
      break;
    if (fork() == 0) {
      int result = connect_quietly(a, (unsigned)getpid());
      __atomic_add_fetch(&shared->tally.of[result], 1, __ATOMIC_RELAXED);
      child = -1;
    }
  }
  while (wait(NULL) > 0 || errno == EINTR)
    ;
  if (getpid() != first)
    _exit(0);
  say(&shared->tally);
}

/* The first thing a process does in a cgroup that is as new as itself. Runs outside; CGROUP is the agents'.
 */
static pid_t start_in_new(struct attempt *a, unsigned number) {
  char directory[512];
  snprintf(directory, sizeof(directory), "%s/new-%d-%u", a->cgroup, getpid(), number);
  checked(mkdir(directory, 0755), "mkdir");
  struct clone_args arguments = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
  int cgroup = checked(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open the cgroup");
  arguments.cgroup = (uint64_t)cgroup;
  pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (child == 0)
    _exit(connect_quietly(a, number));
  close(cgroup);
  return child;
}

static void new_cgroups(struct attempt *a) {
  each(a, start_in_new);
}

/* One socket, connected by one thread and disconnected and sent on by another. OPTION is how often. */
struct race {
  struct attempt *attempt;
  int fd;
  unsigned rounds;
};

static void *connect_and_disconnect(void *argument) {
  struct race *race = argument;
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  for (unsigned i = 0; i < race->rounds; i++) {
    (void)!connect(race->fd, (struct sockaddr *)&race->attempt->to, race->attempt->to_length);
    (void)!connect(race->fd, &none, sizeof(none));
  }
  return NULL;
}

static void one_socket(struct attempt *a) {
  struct race race = {a, open_socket(a->family, SOCK_STREAM | SOCK_NONBLOCK, 0), (unsigned)atoi(a->option)};
  pthread_t other;
  unsigned sent = 0;
  pthread_create(&other, NULL, connect_and_disconnect, &race);
  for (unsigned i = 0; i < race.rounds; i++) {
    sent += sendto(race.fd, a->canary, strlen(a->canary), MSG_FASTOPEN, (struct sockaddr *)&a->to,
                   a->to_length) > 0;
    sent += send(race.fd, a->canary, strlen(a->canary), 0) > 0;
  }
  pthread_join(other, NULL);
  say_tally(0, race.rounds > sent ? race.rounds - sent : 0, sent);
}

/* Connects over and over until SIGTERM. */
static volatile sig_atomic_t stopped;

static void stop(int signal) {
  (void)signal;
  stopped = 1;
}

static void storm(struct attempt *a) {
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  unsigned started = 0, running = 0;
  struct tally tally = {0};
  puts("storming");
  fflush(stdout);
  while (!stopped || running) {
    while (!stopped && running < LANES / 2) {
      pid_t child = fork();
      if (child == 0) {
        signal(SIGTERM, SIG_IGN);
        int result = connect_quietly(a, started);
        /* Where all are refused at once, this would be a storm of forks and nothing else. */
        usleep(result == 1 ? 5000 : 0);
        _exit(result);
      }
      started++;
      running += child > 0;
    }
    int status;
    if (wait(&status) > 0) {
      count(&tally, status);
      running--;
    }
  }
  say(&tally);
}

const struct technique crowd_techniques[] = {
    {"exec-race", NULL, exec_race},
    {"one-of-many", NULL, one_of_many},
    {"fork-bomb", NULL, fork_bomb},
    {"new-cgroup", new_cgroups, NULL},
    {"storm", NULL, storm},
    {"one-socket", NULL, one_socket},
    {NULL, NULL, NULL},
};
