// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Sockets that somebody else opened, who is no agent: an agent is not given one (SCM_RIGHTS, pidfd_getfd),
 * and on one it has inherited it neither sends nor accepts. connect() on one is governed by the cgroup hooks,
 * which make it the agent's.
 */
#include "../lib/foreign.h"

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

char LICENSE[] SEC("license") = "GPL";
