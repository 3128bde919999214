// SPDX-License-Identifier: Apache-2.0
/* Other address families, and connections the kernel makes on somebody's behalf. */
#include "bypass.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

/* Which of its types a family has differs; any that is handed out is a way no hook of the internet families
 * sees. Nothing is sent: where it would go is not this test's to say. */
static void family(struct attempt *a) {
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW};
  int number = atoi(a->option), last = EAFNOSUPPORT;
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
    for (int protocol = 0; protocol <= 1; protocol++) {
      if (socket(number, types[i], protocol) >= 0)
        say_given("a socket of this family");
      if (errno == EPERM || errno == EACCES || errno == ENOBUFS)
        last = errno;
    }
  }
  if (last == EAFNOSUPPORT)
    say_not_run("the kernel has no such family");
  errno = last;
  say_refused("socket");
}

static void vsock(struct attempt *a) {
  (void)a;
  if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0)
    say_given("a socket of this family");
  if (errno == EAFNOSUPPORT)
    say_not_run("the kernel has no AF_VSOCK");
  say_refused("socket");
}

/* A network file system: the kernel makes the connection, in whatever context it likes. */
static _Noreturn void mounted(struct attempt *a, const char *type, const char *source, const char *options) {
  char directory[64];
  snprintf(directory, sizeof(directory), "/tmp/bypass-mount-%d", getpid());
  mkdir(directory, 0700);
  pid_t child = fork();
  if (child == 0) {
    int error = mount(source, directory, type, 0, options) ? errno : 0;
    umount2(directory, MNT_DETACH);
    _exit(error);
  }
  int status = 0, waited = 0;
  while (waitpid(child, &status, WNOHANG) == 0 && waited++ < patient(30))
    usleep(100000);
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  rmdir(directory);
  int error = WIFEXITED(status) ? WEXITSTATUS(status) : ETIMEDOUT;
  if (error == ENODEV || error == EPROTONOSUPPORT || error == ESRCH)
    say_not_run("the kernel has no such file system");
  if (!error)
    say_sent(a->technique);
  errno = error;
  say_refused("mount");
}

static void mount_9p(struct attempt *a) {
  char options[128];
  snprintf(options, sizeof(options), "trans=tcp,port=%u,version=9p2000.L", a->port);
  mounted(a, "9p", a->address, options);
}

static void mount_nfs(struct attempt *a) {
  char source[128], options[256];
  snprintf(source, sizeof(source), "%s:/%s", a->address, a->canary);
  snprintf(options, sizeof(options),
           "addr=%s,port=%u,proto=tcp,vers=4.0,clientaddr=10.198.1.1,retrans=1,timeo=5", a->address, a->port);
  mounted(a, "nfs4", source, options);
}

static void mount_cifs(struct attempt *a) {
  char source[128], options[256];
  snprintf(source, sizeof(source), "//%s/%s", a->address, a->canary);
  snprintf(options, sizeof(options), "ip=%s,port=%u,user=x,pass=x,vers=2.0", a->address, a->port);
  mounted(a, "cifs", source, options);
}

const struct technique kernel_techniques[] = {
    {"family", NULL, family},       {"vsock", NULL, vsock},           {"mount-9p", NULL, mount_9p},
    {"mount-nfs", NULL, mount_nfs}, {"mount-cifs", NULL, mount_cifs}, {NULL, NULL, NULL},
};
