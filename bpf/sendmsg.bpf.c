// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * sendto()/sendmsg() with an address on datagram sockets: to port 53 it goes to the forwarder, anywhere else
 * it is refused at once, so that QUIC and the like fall back to TCP without waiting. Whom an inbound rule let
 * in may be answered.
 */
#include "lib/agent.h"
#include "lib/datagram.h"
#include "lib/listener.h"
#include "lib/netns.h"

#define REFUSE 0 /* the caller sees EPERM */
#define SEND 1
#define REDIRECT 2 /* ours: the address is to be that of loopback */

static __always_inline bool may_answer(struct bpf_sock_addr *ctx, struct sluice_config *config, __u32 agent,
                                       const __u32 *daddr, __u16 port) {
  struct bpf_sock *sk = ctx->sk;
  if (ctx->protocol != IPPROTO_UDP || !sk)
    return false;
  struct sluice_peer_key peer = {
      .socket_cookie = bpf_get_socket_cookie(ctx), .port = port, .local_port = sk->src_port, .agent = agent};
  __builtin_memcpy(peer.addr, daddr, sizeof(peer.addr));
  return sluice_may_answer(&peer, config->generation);
}

/* Not inlined: a flow in the frame below which the search for an agent stands is more than 6.1 has stack for.
 */
static __noinline int refuse(struct bpf_sock_addr *ctx, struct sluice_config *config, __u32 agent,
                             const __u32 *daddr, __u32 reason) {
  struct sluice_flow flow = {};
  sluice_fill_facts(&flow, agent, config->generation);
  flow.family = ctx->family == AF_INET6 ? 6 : 4;
  flow.protocol = ctx->protocol;
  flow.dport = bpf_ntohs((__u16)ctx->user_port);
  __builtin_memcpy(flow.daddr, daddr, sizeof(flow.daddr));
  sluice_emit_denied(reason, SLUICE_TECHNIQUE_SENDTO, &flow);
  return REFUSE;
}

static __always_inline int decide(struct bpf_sock_addr *ctx, const __u32 *daddr, bool v6_route) {
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return SEND;
  __u32 agent = sluice_current_agent();
  if (!agent)
    return SEND;
  __u16 port = bpf_ntohs((__u16)ctx->user_port);
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!sock)
    return refuse(ctx, config, agent, daddr, SLUICE_REASON_STATE_LOST);
  /* send() without an address on an IPv6 socket that is connected to a v4-mapped one comes by here with what
   * connect() made of it. */
  if (ctx->family == AF_INET6 && !v6_route && sock->state == SLUICE_STATE_DNS && port == config->dns_port &&
      daddr[3] == bpf_htonl(0x7f000001))
    return SEND;
  bool dns = ctx->protocol == IPPROTO_UDP && sluice_is_dns(config, port);
  if (dns || !sock->flow.agent) {
    sock->role = SLUICE_ROLE_AGENT;
    sluice_fill_facts(&sock->flow, agent, config->generation);
  }
  if (!dns)
    return may_answer(ctx, config, agent, daddr, port) ? SEND
                                                       : refuse(ctx, config, agent, daddr, SLUICE_REASON_UDP);
  struct sluice_flow *flow = &sock->flow;
  flow->netns_cookie = bpf_get_netns_cookie(ctx);
  if (!forwarder_is_ours(ctx, config, v6_route) &&
      !netns_want_listener(config, flow->netns_cookie, (__u32)bpf_get_current_pid_tgid(), true))
    return refuse(ctx, config, agent, daddr, SLUICE_REASON_NO_LISTENER);
  __builtin_memcpy(flow->daddr, daddr, sizeof(flow->daddr));
  flow->dport = port;
  flow->family = ctx->family == AF_INET6 ? 6 : 4;
  flow->protocol = IPPROTO_UDP;
  sock->state = SLUICE_STATE_DNS;
  ctx->user_port = bpf_htons(config->dns_port);
  return REDIRECT;
}

SEC("cgroup/sendmsg4")
int sluice_sendmsg4(struct bpf_sock_addr *ctx) {
  __u32 daddr[4] = {0, 0, bpf_htonl(0xffff), ctx->user_ip4};
  int verdict = decide(ctx, daddr, false);
  if (verdict == REDIRECT)
    ctx->user_ip4 = bpf_htonl(0x7f000001);
  return verdict != REFUSE;
}

SEC("cgroup/sendmsg6")
int sluice_sendmsg6(struct bpf_sock_addr *ctx) {
  __u32 daddr[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
  int verdict = decide(ctx, daddr, true);
  if (verdict == REDIRECT) {
    ctx->user_ip6[0] = 0;
    ctx->user_ip6[1] = 0;
    ctx->user_ip6[2] = 0;
    ctx->user_ip6[3] = bpf_htonl(1);
  }
  return verdict != REFUSE;
}

char LICENSE[] SEC("license") = "GPL";
