// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * connect(): takes an agent's TCP connection in. Saves where it was going, sends it to the proxy of this
 * network namespace, or to the forwarder if it is DNS, and shows the agent the peer it asked for. A datagram
 * socket that is connected to port 53 goes to the forwarder as well.
 *
 * Refuses rather than lets through: nothing is rewritten that was not saved, and nothing is sent to a
 * listener without the daemon's mark, because a port the daemon has left can be bound by anybody. In a
 * network namespace where the daemon is only about to listen, connect() succeeds and egress holds the SYN
 * back.
 */
#include "lib/agent.h"
#include "lib/datagram.h"
#include "lib/finish.h"
#include "lib/listener.h"
#include "lib/netns.h"

#define DENY 0 /* the caller sees EPERM */
#define ALLOW 1
#define REDIRECT 2 /* ours: the address is to be that of loopback */

static __always_inline int deny(struct sluice_flow *flow, __u32 reason) {
  sluice_emit_denied(reason, SLUICE_TECHNIQUE_CONNECT, flow);
  return DENY;
}

/* Not inlined: a flow in the frame below which the search for an agent stands is more than 6.1 has stack for.
 */
static __noinline int deny_lost(struct sluice_config *config, __u32 agent) {
  struct sluice_flow lost = {};
  sluice_fill_facts(&lost, agent, config->generation);
  return deny(&lost, SLUICE_REASON_STATE_LOST);
}

static __always_inline int take_in(struct bpf_sock_addr *ctx, struct sluice_config *config, __u32 agent,
                                   const __u32 *daddr, bool v6_socket, bool v6_route) {
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!sock)
    return deny_lost(config, agent);
  /* connect() again on a socket whose last attempt came to nothing. */
  sluice_finish_undelivered(sock);

  struct sluice_flow *flow = &sock->flow;
  sock->role = SLUICE_ROLE_AGENT;
  sluice_fill_facts(flow, agent, config->generation);
  flow->id = sluice_next_id();
  flow->netns_cookie = bpf_get_netns_cookie(ctx);
  __builtin_memcpy(flow->daddr, daddr, sizeof(flow->daddr));
  flow->dport = bpf_ntohs((__u16)ctx->user_port);
  flow->family = v6_socket ? 6 : 4;
  flow->protocol = ctx->protocol;
  flow->detail = ctx->family << 24 | ctx->type << 16 | ctx->protocol;

  bool dns = sluice_is_dns(config, flow->dport);
  bool datagrams = ctx->type == SOCK_DGRAM && ctx->protocol == IPPROTO_UDP;
  /* connect() on a datagram socket sends nothing; libraries use it to pick a source address. What the socket
   * then sends is decided on egress. */
  if (datagrams && !dns)
    return ALLOW;
  if (!datagrams && (ctx->type != SOCK_STREAM || ctx->protocol != IPPROTO_TCP))
    return deny(flow, SLUICE_REASON_SOCKET);

  bool to_loopback = v6_route ? (daddr[0] == 0 && daddr[1] == 0 && daddr[2] == 0 && daddr[3] == bpf_htonl(1))
                              : (daddr[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
  if (to_loopback && flow->dport && (is_proxy_port(config, flow->dport) || flow->dport == config->dns_port))
    return deny(flow, SLUICE_REASON_PROXY_DIRECT);
  __u16 port = dns ? config->dns_port : proxy_port_for(config, flow->id);
  sock->held = 0;
  if (!(datagrams ? forwarder_is_ours(ctx, config, v6_route)
                  : listener_is_ours(ctx, config, port, v6_route))) {
    __u32 tid = (__u32)bpf_get_current_pid_tgid();
    if (!netns_want_listener(config, flow->netns_cookie, tid, true))
      return deny(flow, SLUICE_REASON_NO_LISTENER);
    sock->held = 1;
  }
  ctx->user_port = bpf_htons(port);
  if (datagrams) {
    sock->state = SLUICE_STATE_DNS;
    return REDIRECT;
  }

  sock->state = SLUICE_STATE_REDIRECTED;
  sluice_emit_flow(SLUICE_EVENT_OPEN, flow);
  return REDIRECT;
}

SEC("cgroup/connect4")
int sluice_connect4(struct bpf_sock_addr *ctx) {
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return ALLOW;
  __u32 agent = sluice_current_agent();
  if (!agent)
    return ALLOW;
  __u32 daddr[4] = {0, 0, bpf_htonl(0xffff), ctx->user_ip4};
  int verdict = take_in(ctx, config, agent, daddr, false, false);
  if (verdict == REDIRECT)
    ctx->user_ip4 = bpf_htonl(0x7f000001);
  return verdict != DENY;
}

SEC("cgroup/connect6")
int sluice_connect6(struct bpf_sock_addr *ctx) {
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return ALLOW;
  __u32 agent = sluice_current_agent();
  if (!agent)
    return ALLOW;
  __u32 daddr[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
  bool mapped = daddr[0] == 0 && daddr[1] == 0 && daddr[2] == bpf_htonl(0xffff);
  int verdict = take_in(ctx, config, agent, daddr, true, !mapped);
  if (verdict == REDIRECT) {
    ctx->user_ip6[0] = 0;
    ctx->user_ip6[1] = 0;
    ctx->user_ip6[2] = mapped ? bpf_htonl(0xffff) : 0;
    ctx->user_ip6[3] = mapped ? bpf_htonl(0x7f000001) : bpf_htonl(1);
  }
  return verdict != DENY;
}

/* The stored flow of a redirected socket, or NULL. */
static __always_inline struct sluice_flow *redirected(struct bpf_sock_addr *ctx) {
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, 0);
  if (!sock || sock->role != SLUICE_ROLE_AGENT || !sock->flow.dport)
    return NULL;
  if (sock->flow.protocol == IPPROTO_UDP)
    return sock->state == SLUICE_STATE_DNS ? &sock->flow : NULL;
  if (sock->flow.protocol != IPPROTO_TCP)
    return NULL;
  /* An accepted connection of an agent's own listener has a real peer. */
  return sock->tuple.sport ? &sock->flow : NULL;
}

SEC("cgroup/getpeername4")
int sluice_getpeername4(struct bpf_sock_addr *ctx) {
  struct sluice_flow *flow = redirected(ctx);
  if (flow) {
    __u32 addr;
    __builtin_memcpy(&addr, &flow->daddr[12], sizeof(addr));
    ctx->user_ip4 = addr;
    ctx->user_port = bpf_htons(flow->dport);
  }
  return 1;
}

SEC("cgroup/getpeername6")
int sluice_getpeername6(struct bpf_sock_addr *ctx) {
  struct sluice_flow *flow = redirected(ctx);
  if (flow) {
    __u32 addr[4];
    __builtin_memcpy(addr, flow->daddr, sizeof(addr));
    ctx->user_ip6[0] = addr[0];
    ctx->user_ip6[1] = addr[1];
    ctx->user_ip6[2] = addr[2];
    ctx->user_ip6[3] = addr[3];
    ctx->user_port = bpf_htons(flow->dport);
  }
  return 1;
}

char LICENSE[] SEC("license") = "GPL";
