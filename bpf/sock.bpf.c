// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * socket() and close(): an agent may have TCP and UDP sockets, which the other hooks govern, and no other of
 * the internet families. Each is tagged at birth, so that egress knows it whoever holds it later.
 */
#include "lib/agent.h"
#include "lib/event.h"
#include "lib/finish.h"
#include "lib/netns.h"

static __always_inline __u32 technique_of(struct bpf_sock *ctx) {
  switch (ctx->protocol) {
  case IPPROTO_UDPLITE:
    return SLUICE_TECHNIQUE_SOCKET_UDPLITE;
  case IPPROTO_SCTP:
    return SLUICE_TECHNIQUE_SOCKET_SCTP;
  case IPPROTO_MPTCP:
    return SLUICE_TECHNIQUE_SOCKET_MPTCP;
  case IPPROTO_DCCP:
    return SLUICE_TECHNIQUE_SOCKET_DCCP;
  default:
    return ctx->type == SOCK_DGRAM ? SLUICE_TECHNIQUE_SOCKET_PING : SLUICE_TECHNIQUE_SOCKET_OTHER;
  }
}

SEC("cgroup/sock_create")
int sluice_sock_create(struct bpf_sock *ctx) {
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return 1;
  __u32 agent = sluice_current_agent();
  if (!agent)
    return 1;
  bool tcp = ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP;
  bool udp = ctx->type == SOCK_DGRAM && ctx->protocol == IPPROTO_UDP;
  struct sluice_sock *sock =
      tcp || udp ? bpf_sk_storage_get(&sluice_socks, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
  if (!sock) {
    struct sluice_flow flow = {};
    sluice_fill_facts(&flow, agent, config->generation);
    flow.family = ctx->family == AF_INET6 ? 6 : 4;
    flow.protocol = ctx->protocol;
    flow.detail = ctx->family << 24 | ctx->type << 16 | ctx->protocol;
    if (tcp || udp)
      sluice_emit_denied(SLUICE_REASON_STATE_LOST, SLUICE_TECHNIQUE_SOCKET_STATE, &flow);
    else
      sluice_emit_denied(SLUICE_REASON_SOCKET,
                         ctx->type == SOCK_RAW ? SLUICE_TECHNIQUE_SOCKET_RAW : technique_of(ctx), &flow);
    return 0;
  }
  sock->role = SLUICE_ROLE_AGENT;
  sock->flow.family = ctx->family == AF_INET6 ? 6 : 4;
  sock->flow.protocol = ctx->protocol;
  sluice_fill_facts(&sock->flow, agent, config->generation);
  netns_want_listener(config, bpf_get_netns_cookie(ctx), (__u32)bpf_get_current_pid_tgid(), false);
  return 1;
}

SEC("cgroup/sock_release")
int sluice_sock_release(struct bpf_sock *ctx) {
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx, 0, 0);
  /* Published flows end with their TCP state (sockops): the worker may still take them in. */
  if (sock && sock->role == SLUICE_ROLE_AGENT && sock->state == SLUICE_STATE_REDIRECTED)
    sluice_finish_undelivered(sock);
  return 1;
}

char LICENSE[] SEC("license") = "GPL";
