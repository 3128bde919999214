// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * bind(): keeps agents off the proxy's ports and the forwarder's, and tells a service at once that it will
 * not be heard.
 *
 * With SO_REUSEPORT a process of the daemon's user could listen beside the daemon, have every connection
 * steered to itself, and read what other agents send. The mark does not help there: the kernel picks one
 * listener when connect() looks, and may pick another for the connection.
 *
 * Any other TCP port that is asked for by number is one to be found at, so it is refused unless a rule of the
 * policy lets somebody in there. Not what enforces: listen() without bind(), or with a port of the kernel's
 * choosing, is met by ingress. Datagram sockets are let be: resolver libraries bind them to ports they draw
 * themselves.
 */
#include "lib/agent.h"
#include "lib/inbound.h"
#include "lib/listener.h"

#define ALLOW 1
#define DENY 0

/* Where the listeners are (src/daemon/listeners.ts), or where all addresses are meant. Others are not the
 * proxy's. */
static __always_inline bool is_listeners(const __u32 *addr) {
  bool mapped = addr[0] == 0 && addr[1] == 0 && addr[2] == bpf_htonl(0xffff);
  bool plain = addr[0] == 0 && addr[1] == 0 && addr[2] == 0;
  return (mapped && (addr[3] == bpf_htonl(0x7f000001) || addr[3] == 0)) ||
         (plain && (addr[3] == bpf_htonl(1) || addr[3] == 0));
}

static __always_inline bool is_ours(struct sluice_config *config, __u32 protocol, __u16 port) {
  return (protocol == IPPROTO_TCP && is_proxy_port(config, port)) || port == config->dns_port;
}

static __always_inline bool anybody_is_served(struct sluice_config *config, __u32 agent, __u16 port) {
  struct sluice_request request = {.agent = agent,
                                   .generation = config->generation,
                                   .local_port = port,
                                   .protocol = IPPROTO_TCP,
                                   .any_peer = true};
  return sluice_inbound_rule(&request) != 0;
}

/* Not inlined: a flow in the frame below which the search for an agent stands is more than 6.1 has stack for.
 */
static __noinline int refuse(struct bpf_sock_addr *ctx, struct sluice_config *config, __u32 agent,
                             const __u32 *addr, bool ours) {
  struct sluice_flow flow = {};
  sluice_fill_facts(&flow, agent, config->generation);
  flow.family = ctx->family == AF_INET6 ? 6 : 4;
  flow.protocol = ctx->protocol;
  __u16 port = bpf_ntohs((__u16)ctx->user_port);
  if (ours) {
    flow.dport = port;
    __builtin_memcpy(flow.daddr, addr, sizeof(flow.daddr));
  }
  struct sluice_refusal refusal = {.reason = ours ? SLUICE_REASON_PROXY_DIRECT : SLUICE_REASON_INBOUND,
                                   .technique = SLUICE_TECHNIQUE_BIND,
                                   .local_port = port};
  sluice_deny(&flow, &refusal);
  return DENY;
}

static __always_inline int decide(struct bpf_sock_addr *ctx, const __u32 *addr) {
  struct sluice_config *config = sluice_get_config();
  __u16 port = bpf_ntohs((__u16)ctx->user_port);
  if (!config || !port)
    return ALLOW;
  bool ours = is_ours(config, ctx->protocol, port) && is_listeners(addr);
  if (!ours && ctx->type != SOCK_STREAM)
    return ALLOW;
  __u32 agent = sluice_current_agent();
  if (!agent || (!ours && anybody_is_served(config, agent, port)))
    return ALLOW;
  return refuse(ctx, config, agent, addr, ours);
}

SEC("cgroup/bind4")
int sluice_bind4(struct bpf_sock_addr *ctx) {
  __u32 addr[4] = {0, 0, bpf_htonl(0xffff), ctx->user_ip4};
  return decide(ctx, addr);
}

SEC("cgroup/bind6")
int sluice_bind6(struct bpf_sock_addr *ctx) {
  __u32 addr[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
  return decide(ctx, addr);
}

char LICENSE[] SEC("license") = "GPL";
