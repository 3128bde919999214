// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Carries a flow from the agent's socket to the worker's. The client's SYN publishes it under the
 * connection's tuple; the accepted socket takes it from there and keeps it, so that a worker reads it with
 * one getsockopt and nothing has to be looked up, or can be missed, in userspace.
 */
#include "lib/ends.h"
#include "lib/finish.h"
#include "lib/inbound.h"
#include "lib/listener.h"
#include "lib/netns.h"

#define STATE_CB BPF_SOCK_OPS_STATE_CB_FLAG

/* Egress lets a socket send to the port it was published with, so that must be one of the daemon's: another
 * program at connect() may have changed it behind ours. */
static __always_inline void publish(struct bpf_sock_ops *ops, struct sluice_sock *sock) {
  struct sluice_tuple tuple = {.netns_cookie = bpf_get_netns_cookie(ops)};
  __u32 zero = 0;
  struct sluice_config *config = bpf_map_lookup_elem(&sluice_config, &zero);
  local_addr(tuple.saddr, ops);
  tuple.sport = ops->local_port;
  tuple.dport = bpf_ntohl(ops->remote_port);
  sock->tuple.sport = 0;
  if (!config || !tuple.dport || (!is_proxy_port(config, tuple.dport) && tuple.dport != config->dns_port))
    return;
  sock->tuple = tuple;
  /* A full table leaves the worker without a flow: it then refuses the connection. */
  if (bpf_map_update_elem(&sluice_tuples, &tuple, &sock->flow, BPF_ANY) == 0)
    sock->state = SLUICE_STATE_PUBLISHED;
  else
    sluice_count(SLUICE_COUNTER_UNPUBLISHED);
  bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | STATE_CB);
}

/* Only for what the daemon's listener accepts, which has its mark by BPF_F_CLONE: the same port is free on
 * other addresses, an agent may listen there, and its tag must stay on what it accepts. */
static __always_inline void adopt(struct bpf_sock_ops *ops, struct bpf_sock *sk, struct sluice_sock *sock,
                                  struct sluice_config *config) {
  if (sock->mark != config->mark ||
      (!is_proxy_port(config, ops->local_port) && ops->local_port != config->dns_port))
    return;
  struct sluice_tuple tuple = {};
  accepted_tuple(&tuple, ops);
  struct sluice_flow *flow = bpf_map_lookup_elem(&sluice_tuples, &tuple);
  if (flow)
    sock->flow = *flow;
  /* Who takes it out owns it: the agent may be giving up. */
  if (!flow || bpf_map_delete_elem(&sluice_tuples, &tuple)) {
    /* What the listener's storage left must not be taken for a flow, nor for a listener. */
    bpf_sk_storage_delete(&sluice_socks, sk);
    return;
  }
  sock->role = SLUICE_ROLE_ACCEPTED;
  sock->mark = 0;
  sock->state = SLUICE_STATE_IDLE;
  bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | STATE_CB);
}

/* What an agent's listening socket accepts has the agent's tag by BPF_F_CLONE. The rules are asked once more:
 * they may have changed since the SYN was let in. Without one nothing it sends will leave. */
static __always_inline void serve(struct bpf_sock_ops *ops, struct sluice_sock *sock,
                                  struct sluice_config *config) {
  struct sluice_flow *flow = &sock->flow;
  remote_addr(flow->daddr, ops);
  flow->dport = bpf_ntohl(ops->remote_port);
  struct sluice_request request = {.agent = flow->agent,
                                   .generation = config->generation,
                                   .local_port = ops->local_port,
                                   .protocol = IPPROTO_TCP};
  __builtin_memcpy(request.peer, flow->daddr, sizeof(request.peer));
  __u32 rule = sluice_inbound_rule(&request);
  sock->state = rule ? SLUICE_STATE_SERVING : SLUICE_STATE_IDLE;
  sock->tuple.sport = 0;
  if (!rule)
    return;
  flow->id = sluice_next_id();
  flow->start_ns = bpf_ktime_get_boot_ns();
  flow->generation = config->generation;
  flow->detail = rule;
  bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | STATE_CB);
}

static __always_inline void served(struct bpf_sock_ops *ops, struct sluice_sock *sock) {
  struct sluice_event *event = bpf_ringbuf_reserve(&sluice_ring_flow, sizeof(*event), 0);
  if (!event) {
    sluice_count(0);
    return;
  }
  sluice_fill_event(event, SLUICE_EVENT_SERVED, SLUICE_REASON_NONE, &sock->flow);
  event->local_port = ops->local_port;
  event->received = ops->bytes_received;
  event->sent = ops->bytes_acked;
  bpf_ringbuf_submit(event, 0);
}

static __always_inline void accepted(struct bpf_sock_ops *ops, struct bpf_sock *sk,
                                     struct sluice_sock *sock) {
  __u32 zero = 0;
  struct sluice_config *config = bpf_map_lookup_elem(&sluice_config, &zero);
  if (!config)
    return;
  if (sock->role == SLUICE_ROLE_LISTENER)
    adopt(ops, sk, sock, config);
  else if (sock->role == SLUICE_ROLE_AGENT)
    serve(ops, sock, config);
}

static __always_inline void closed(struct bpf_sock_ops *ops, struct sluice_sock *sock) {
  if (sock->role == SLUICE_ROLE_ACCEPTED)
    sluice_emit_flow(SLUICE_EVENT_CLOSED, &sock->flow);
  else if (sock->role == SLUICE_ROLE_AGENT && sock->state == SLUICE_STATE_SERVING)
    served(ops, sock);
  else if (sock->role == SLUICE_ROLE_AGENT)
    /* Also of a connection the agent took for established: the listener's queue was full when it said so. */
    sluice_finish_undelivered(sock);
}

/* A SYN that egress holds back is sent again soon, not after the second that the kernel waits otherwise. */
static __always_inline void shorten_timeout(struct bpf_sock_ops *ops, struct sluice_sock *sock) {
  if (sock->role == SLUICE_ROLE_AGENT && sock->held)
    ops->reply = NETNS_HELD_TIMEOUT_JIFFIES;
}

/* Called several times for every connection of the host: what nothing is stored with is let go of first. */
SEC("sockops")
int sluice_sockops(struct bpf_sock_ops *ops) {
  __u32 op = ops->op;
  ops->reply = -1; /* "no opinion" for the operations that ask for a value */
  if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB &&
      op != BPF_SOCK_OPS_STATE_CB && op != BPF_SOCK_OPS_TIMEOUT_INIT)
    return 1;
  struct bpf_sock *sk = ops->sk;
  struct sluice_sock *sock = sk ? bpf_sk_storage_get(&sluice_socks, sk, 0, 0) : NULL;
  if (!sock)
    return 1;
  if (op == BPF_SOCK_OPS_TIMEOUT_INIT) {
    shorten_timeout(ops, sock);
  } else if (op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
    accepted(ops, sk, sock);
  } else if (op == BPF_SOCK_OPS_STATE_CB) {
    if (ops->args[1] == BPF_TCP_CLOSE)
      closed(ops, sock);
  } else if (sock->role == SLUICE_ROLE_AGENT && sock->state == SLUICE_STATE_REDIRECTED) {
    publish(ops, sock);
  }
  return 1;
}

char LICENSE[] SEC("license") = "GPL";
