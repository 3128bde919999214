// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The programs that take the place of those of another ABI while these are replaced. Each first does what the
 * program before it did, by calling it. From the moment the programs of this ABI are in force, which is the
 * same for all hooks, it only brings along the state they will ask for: they are attached behind it.
 *
 * So at every instant one of both decides, with the state that is true then. A program before that cannot be
 * called is a refusal.
 */
#include "../lib/ends.h"
#include "../lib/former.h"

#define REFUSE 0
#define PASS 1

/* The program that was attached there. */
#define FORMER(hook)                                                                                         \
  struct {                                                                                                   \
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                                                   \
    __uint(max_entries, 1);                                                                                  \
    __type(key, __u32);                                                                                      \
    __type(value, __u32);                                                                                    \
    __uint(pinning, LIBBPF_PIN_BY_NAME);                                                                     \
  } sluice_former_##hook SEC(".maps");

#define AS_BEFORE(ctx, hook, otherwise)                                                                      \
  do {                                                                                                       \
    bpf_tail_call(ctx, &sluice_former_##hook, 0);                                                            \
    return otherwise;                                                                                        \
  } while (0)

/* Hooks in the context of the process that calls. */
#define VIA_CALL(section, hook, context)                                                                     \
  FORMER(hook)                                                                                               \
  SEC(section)                                                                                               \
  int sluice_via_##hook(struct context *ctx) {                                                               \
    if (!sluice_is_in_force())                                                                               \
      AS_BEFORE(ctx, hook, REFUSE);                                                                          \
    sluice_come_current();                                                                                   \
    return ctx->sk && !sluice_come_sock(ctx->sk) ? REFUSE : PASS;                                            \
  }

/* Hooks that ask for the socket alone. */
#define VIA_SOCKET(section, hook, context, otherwise)                                                        \
  FORMER(hook)                                                                                               \
  SEC(section)                                                                                               \
  int sluice_via_##hook(struct context *ctx) {                                                               \
    if (!sluice_is_in_force())                                                                               \
      AS_BEFORE(ctx, hook, otherwise);                                                                       \
    return ctx->sk && !sluice_come_sock(ctx->sk) ? otherwise : PASS;                                         \
  }

VIA_CALL("cgroup/bind4", bind4, bpf_sock_addr)
VIA_CALL("cgroup/bind6", bind6, bpf_sock_addr)
VIA_CALL("cgroup/connect4", connect4, bpf_sock_addr)
VIA_CALL("cgroup/connect6", connect6, bpf_sock_addr)
VIA_CALL("cgroup/sendmsg4", sendmsg4, bpf_sock_addr)
VIA_CALL("cgroup/sendmsg6", sendmsg6, bpf_sock_addr)
VIA_CALL("cgroup/setsockopt", setsockopt, bpf_sockopt)

/* These may not refuse. */
VIA_SOCKET("cgroup/getpeername4", getpeername4, bpf_sock_addr, PASS)
VIA_SOCKET("cgroup/getpeername6", getpeername6, bpf_sock_addr, PASS)
VIA_SOCKET("cgroup/recvmsg4", recvmsg4, bpf_sock_addr, PASS)
VIA_SOCKET("cgroup/recvmsg6", recvmsg6, bpf_sock_addr, PASS)

VIA_SOCKET("cgroup_skb/egress", egress, __sk_buff, REFUSE)
VIA_SOCKET("cgroup_skb/ingress", ingress, __sk_buff, REFUSE)

/* Not inlined: the verifier counts the room of all calls together. */
static __noinline int come_datagram(__u32 ticket) {
  struct sluice_flow_image image = {};
  void *former = bpf_map_lookup_elem(&former_datagrams, &ticket);
  if (former && !sluice_read_flow(SLUICE_PLAN_FLOW, sluice_address_of(former), &image) &&
      !bpf_map_delete_elem(&former_datagrams, &ticket))
    bpf_map_update_elem(&sluice_datagrams, &ticket, &image.flow, BPF_ANY);
  return 0;
}

FORMER(getsockopt)
SEC("cgroup/getsockopt")
int sluice_via_getsockopt(struct bpf_sockopt *ctx) {
  if (!sluice_is_in_force())
    AS_BEFORE(ctx, getsockopt, REFUSE);
  if (ctx->level == SLUICE_SOL_DATAGRAM)
    come_datagram((__u32)ctx->optname);
  return ctx->sk && !sluice_come_sock(ctx->sk) ? REFUSE : PASS;
}

/* A socket is tagged in both: programs of the BPF LSM are the former ones until they are replaced. */
FORMER(sock_create)
SEC("cgroup/sock_create")
int sluice_via_sock_create(struct bpf_sock *ctx) {
  bool tcp = ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP;
  bool udp = ctx->type == SOCK_DGRAM && ctx->protocol == IPPROTO_UDP;
  bool in_force = sluice_is_in_force();
  if (in_force)
    sluice_come_current();
  if (!in_force || tcp || udp)
    AS_BEFORE(ctx, sock_create, REFUSE);
  return PASS;
}

FORMER(sock_release)
SEC("cgroup/sock_release")
int sluice_via_sock_release(struct bpf_sock *ctx) {
  if (!sluice_is_in_force())
    AS_BEFORE(ctx, sock_release, PASS);
  sluice_come_sock(ctx);
  return PASS;
}

FORMER(sockops)
SEC("sockops")
int sluice_via_sockops(struct bpf_sock_ops *ops) {
  if (!sluice_is_in_force())
    AS_BEFORE(ops, sockops, PASS);
  ops->reply = -1;
  if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
    struct sluice_tuple tuple = {};
    accepted_tuple(&tuple, ops);
    sluice_come_tuple(&tuple);
  }
  struct bpf_sock *sk = ops->sk;
  if (sk)
    sluice_come_sock(sk);
  return PASS;
}

/* Before the programs of this ABI ask what a process is. */
SEC("tp_btf/sched_process_fork")
int sluice_via_fork(__u64 *ctx) {
  if (sluice_is_in_force())
    sluice_come_task((struct task_struct *)ctx[0]);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int sluice_via_exec(__u64 *ctx) {
  if (sluice_is_in_force())
    sluice_come_task((struct task_struct *)ctx[0]);
  return 0;
}

SEC("tp_btf/cgroup_attach_task")
int sluice_via_attach(__u64 *ctx) {
  if (sluice_is_in_force())
    sluice_come_task((struct task_struct *)ctx[2]);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
