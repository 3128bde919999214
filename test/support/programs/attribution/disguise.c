/*
 * Becomes another executable in the eyes of the kernel without running it: leaves its own file for a copy in
 * memory, unmaps the file, and names another by prctl(PR_SET_MM_MAP), to which anybody has the right in a
 * user namespace of its own. Then connects, sends so many bytes and stays. Static, and not position
 * independent, so that all of its file lies at a known place.
 *
 * usage: disguise EXECUTABLE SIZE ADDRESS PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct order {
  unsigned long first, bytes;
  struct prctl_mm_map map;
  long size;
  struct sockaddr_in to;
};

static inline __attribute__((always_inline)) long call(long number, long a, long b, long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

/* Runs where it was copied to, on a stack of its own, and calls nothing. */
__attribute__((noinline, used, section("to_be_moved"))) void moved(struct order *order) {
  char *bytes = (char *)(order + 1);
  call(SYS_munmap, order->first, order->bytes, 0, 0, 0);
  long set = call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&order->map, sizeof(order->map), 0);
  if (set < 0)
    call(SYS_exit_group, -set, 0, 0, 0, 0);
  long fd = call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0);
  if (call(SYS_connect, fd, (long)&order->to, sizeof(order->to), 0, 0) < 0)
    call(SYS_exit_group, 1, 0, 0, 0, 0);
  for (long left = order->size; left > 0;) {
    long sent = call(SYS_write, fd, (long)bytes, left < 2048 ? left : 2048, 0, 0);
    if (sent <= 0)
      call(SYS_exit_group, 2, 0, 0, 0, 0);
    left -= sent;
  }
  call(SYS_shutdown, fd, SHUT_WR, 0, 0, 0);
  while (call(SYS_read, fd, (long)bytes, 2048, 0, 0) > 0)
    ;
  call(SYS_close, fd, 0, 0, 0, 0);
  while (call(SYS_read, 0, (long)bytes, 2048, 0, 0) > 0)
    ;
  call(SYS_exit_group, 0, 0, 0, 0, 0);
}

extern char __start_to_be_moved[], __stop_to_be_moved[], __executable_start[], end[];

int main(int count, char **words) {
  if (count < 5 || unshare(CLONE_NEWUSER))
    return 64;
  char *room = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct order *order = (struct order *)(room + 8192);
  order->first = (unsigned long)__executable_start & ~4095ul;
  order->bytes = (((unsigned long)end + 4095) & ~4095ul) - order->first;
  unsigned long at = (unsigned long)room;
  order->map = (struct prctl_mm_map){.start_code = at,
                                     .end_code = at + 1,
                                     .start_data = at,
                                     .end_data = at + 1,
                                     .start_brk = at,
                                     .brk = at,
                                     .start_stack = at,
                                     .arg_start = at,
                                     .arg_end = at,
                                     .env_start = at,
                                     .env_end = at,
                                     .exe_fd = open(words[1], O_RDONLY)};
  order->size = atol(words[2]);
  order->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(words[4]))};
  inet_pton(AF_INET, words[3], &order->to.sin_addr);
  memcpy(room, __start_to_be_moved, __stop_to_be_moved - __start_to_be_moved);
  ((void (*)(struct order *))room)(order);
  return 1;
}
