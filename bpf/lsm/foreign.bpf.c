// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Sockets that somebody else opened, who is no agent: an agent is not given one (SCM_RIGHTS, pidfd_getfd),
 * and on one it has inherited it neither sends nor accepts. connect() on one is left to the cgroup hooks,
 * which make it the agent's, where they see it: those of TCP and UDP. SCTP, AF_VSOCK and others shake hands
 * unseen by them, and are refused here.
 */
#include "../lib/foreign.h"

#define SCTP_SOCKOPT_CONNECTX 110 /* linux/sctp.h */

SEC("lsm/file_receive")
int sluice_lsm_receive(__u64 *ctx) {
  struct file *file = (struct file *)ctx[0];
  struct socket *socket = bpf_sock_from_file(file);
  struct sock *sk = socket ? socket->sk : NULL;
  if (!sk)
    return MAY;
  bool foreign = is_foreign(sk);
  __u32 closed = foreign ? 0 : leads_to_closed(sk);
  if (!foreign && !closed)
    return MAY;
  __u32 agent = sluice_current_agent();
  if (!agent)
    return MAY;
  return foreign ? refuse_foreign(sk, agent, SLUICE_TECHNIQUE_FOREIGN_RECEIVE)
                 : refuse_unix(closed, agent, SLUICE_TECHNIQUE_UNIX_RECEIVE);
}

SEC("lsm/socket_sendmsg")
int sluice_lsm_send(__u64 *ctx) {
  struct socket *socket = (struct socket *)ctx[0];
  struct sock *sk = socket->sk;
  return sk ? judge_send(sk) : MAY;
}

SEC("lsm/socket_accept")
int sluice_lsm_accept(__u64 *ctx) {
  struct socket *socket = (struct socket *)ctx[0];
  struct sock *sk = socket->sk;
  __u32 agent = tagged_agent();
  if (!sk || !agent || !is_foreign(sk))
    return MAY;
  return refuse_foreign(sk, agent, SLUICE_TECHNIQUE_FOREIGN_ACCEPT);
}

static __always_inline bool has_connect_hook(struct sock *sk) {
  __u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);
  __u32 protocol = BPF_CORE_READ(sk, sk_protocol);
  return (family == AF_INET || family == AF_INET6) && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP);
}

static __always_inline int judge_connect(struct sock *sk) {
  __u32 agent = is_foreign(sk) ? tagged_agent() : 0;
  return agent ? refuse_foreign(sk, agent, SLUICE_TECHNIQUE_FOREIGN_CONNECT) : MAY;
}

SEC("lsm/socket_connect")
int sluice_lsm_connect(__u64 *ctx) {
  struct socket *socket = (struct socket *)ctx[0];
  struct sock *sk = socket->sk;
  return !sk || has_connect_hook(sk) ? MAY : judge_connect(sk);
}

/* SCTP's own ways to connect, by setsockopt() and getsockopt(). Other operations come by here too, some from
 * an interrupt, where the current process is anybody. */
SEC("lsm/sctp_bind_connect")
int sluice_lsm_connectx(__u64 *ctx) {
  struct sock *sk = (struct sock *)ctx[0];
  return sk && (int)ctx[1] == SCTP_SOCKOPT_CONNECTX ? judge_connect(sk) : MAY;
}

char LICENSE[] SEC("license") = "GPL";
