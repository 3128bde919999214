// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Unix sockets behind which somebody does what he is asked: container engines, systemd, D-Bus. Those policy
 * closes are known by inode, so that no link, mount or other name leads around it, and by place, so that one
 * a service has just made anew is closed before the daemon has seen it.
 */
#include "../lib/foreign.h"

static __always_inline int judge(struct sock *other, __u32 technique) {
  __u32 closed = sluice_is_closed(sluice_address_of(other), 1);
  if (!closed)
    return MAY;
  __u32 agent = sluice_current_agent();
  return agent ? refuse_unix(closed, agent, technique) : MAY;
}

/* connect() of a stream or of packets, to the socket that listens. */
SEC("lsm/unix_stream_connect")
int sluice_lsm_unix_connect(__u64 *ctx) {
  return judge((struct sock *)ctx[1], SLUICE_TECHNIQUE_UNIX_CONNECT);
}

/* A datagram, and connect() for datagrams. */
SEC("lsm/unix_may_send")
int sluice_lsm_unix_send(__u64 *ctx) {
  struct socket *other = (struct socket *)ctx[1];
  struct sock *sk = other->sk;
  return sk ? judge(sk, SLUICE_TECHNIQUE_UNIX_SEND) : MAY;
}

char LICENSE[] SEC("license") = "GPL";
