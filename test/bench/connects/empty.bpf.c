// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Programs that do nothing, on every hook Sluice has one: what any program costs that looks at connections
 * there. Below that Sluice cannot come.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define EMPTY(name, section, verdict)                                                                        \
  SEC(section)                                                                                               \
  int empty_##name(void *ctx) {                                                                              \
    (void)ctx;                                                                                               \
    return verdict;                                                                                          \
  }

EMPTY(bind4, "cgroup/bind4", 1)
EMPTY(bind6, "cgroup/bind6", 1)
EMPTY(connect4, "cgroup/connect4", 1)
EMPTY(connect6, "cgroup/connect6", 1)
EMPTY(getpeername4, "cgroup/getpeername4", 1)
EMPTY(getpeername6, "cgroup/getpeername6", 1)
EMPTY(recvmsg4, "cgroup/recvmsg4", 1)
EMPTY(recvmsg6, "cgroup/recvmsg6", 1)
EMPTY(sendmsg4, "cgroup/sendmsg4", 1)
EMPTY(sendmsg6, "cgroup/sendmsg6", 1)
EMPTY(getsockopt, "cgroup/getsockopt", 1)
EMPTY(setsockopt, "cgroup/setsockopt", 1)
EMPTY(sock_create, "cgroup/sock_create", 1)
EMPTY(sock_release, "cgroup/sock_release", 1)
EMPTY(sockops, "sockops", 1)
EMPTY(ingress, "cgroup_skb/ingress", 1)
EMPTY(egress, "cgroup_skb/egress", 1)
EMPTY(fork, "tp_btf/sched_process_fork", 0)
EMPTY(exec, "tp_btf/sched_process_exec", 0)
EMPTY(exit, "tp_btf/sched_process_exit", 0)
EMPTY(attach, "tp_btf/cgroup_attach_task", 0)

char LICENSE[] SEC("license") = "GPL";
