// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Iterators over the open files of agents: one tells of their sockets, one also takes in those of the
 * internet families that nobody governs yet, because they were there before their process was an agent. From
 * then on egress drops what they send.
 */
#include "../lib/agent.h"
#include "../lib/iter.h"

/* Not inlined, so that the struct stands in the object's BTF, which the layout test reads. */
static __noinline int write_out(struct seq_file *seq, struct sluice_open_socket *out) {
  return bpf_seq_write(seq, out, sizeof(*out));
}

static __always_inline void write_socket(struct bpf_iter__task_file *ctx, struct task_struct *task,
                                         struct sock *sk, bool governed) {
  struct sluice_open_socket out = {};
  out.cookie = bpf_get_socket_cookie(sk);
  out.pid = BPF_CORE_READ(task, tgid);
  out.fd = ctx->fd;
  out.family = BPF_CORE_READ(sk, __sk_common.skc_family);
  out.type = BPF_CORE_READ(sk, sk_type);
  out.protocol = BPF_CORE_READ(sk, sk_protocol);
  out.state = BPF_CORE_READ(sk, __sk_common.skc_state);
  out.governed = governed;
  if (out.family == AF_INET) {
    __u32 mapped[2][4] = {{0, 0, bpf_htonl(0xffff), BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr)},
                          {0, 0, bpf_htonl(0xffff), BPF_CORE_READ(sk, __sk_common.skc_daddr)}};
    __builtin_memcpy(out.saddr, mapped[0], sizeof(out.saddr));
    __builtin_memcpy(out.daddr, mapped[1], sizeof(out.daddr));
  } else if (out.family == AF_INET6) {
    BPF_CORE_READ_INTO(&out.saddr, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
    BPF_CORE_READ_INTO(&out.daddr, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
  }
  if (out.family == AF_INET || out.family == AF_INET6) {
    out.sport = BPF_CORE_READ(sk, __sk_common.skc_num);
    out.dport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
  }
  write_out(ctx->meta->seq, &out);
}

static __always_inline int look(struct bpf_iter__task_file *ctx, bool take_in) {
  struct task_struct *task = ctx->task;
  struct file *file = ctx->file;
  if (!task || !file)
    return 0;
  struct sluice_tag *tag = sluice_tag_of(task);
  if (!tag)
    return 0;
  struct socket *socket = bpf_sock_from_file(file);
  if (!socket)
    return 0;
  struct sock *sk = socket->sk;
  if (!sk)
    return 0;
  __u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, sk, 0, 0);
  if (take_in && (!sock || !sock->role) && (family == AF_INET || family == AF_INET6)) {
    sock = bpf_sk_storage_get(&sluice_socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
    struct sluice_config *config = sluice_get_config();
    if (sock && config) {
      sluice_fill_task(&sock->flow, task, tag->agent, config->generation);
      sock->flow.family = family == AF_INET6 ? 6 : 4;
      sock->flow.protocol = BPF_CORE_READ(sk, sk_protocol);
      sock->role = SLUICE_ROLE_AGENT;
    }
  }
  write_socket(ctx, task, sk, sock && sock->role);
  return 0;
}

SEC("iter/task_file")
int sluice_sockets(struct bpf_iter__task_file *ctx) {
  return look(ctx, false);
}

SEC("iter/task_file")
int sluice_take_in(struct bpf_iter__task_file *ctx) {
  return look(ctx, true);
}

char LICENSE[] SEC("license") = "GPL";
