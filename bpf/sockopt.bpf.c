// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * setsockopt(): keeps agents from options that route around the proxy. getsockopt(): hands a worker the flow
 * of an accepted socket under a private option, and under SO_ORIGINAL_DST, the name other proxies know; and
 * the forwarder, that of a datagram by its ticket.
 */
#include "lib/agent.h"
#include "lib/event.h"
#include "lib/netns.h"

#define SOL_SOCKET 1
#define SOL_IP 0
#define SOL_TCP 6
#define SOL_IPV6 41
#define SO_ORIGINAL_DST 80
#define BUFFER_MAX 4096 /* the kernel copies at most a page for the programs */

/* linux/{in,in6,tcp}.h and asm-generic/socket.h; named here because those headers clash with the C library's.
 */
static __always_inline __u32 technique_of(int level, int option) {
  switch (level << 16 | option) {
  case SOL_SOCKET << 16 | 25:
    return SLUICE_TECHNIQUE_SO_BINDTODEVICE;
  case SOL_SOCKET << 16 | 62:
    return SLUICE_TECHNIQUE_SO_BINDTOIFINDEX;
  case SOL_IP << 16 | 3:
    return SLUICE_TECHNIQUE_IP_HDRINCL;
  case SOL_IP << 16 | 4:
    return SLUICE_TECHNIQUE_IP_OPTIONS;
  case SOL_IP << 16 | 19:
    return SLUICE_TECHNIQUE_IP_TRANSPARENT;
  case SOL_IP << 16 | 16:
    return SLUICE_TECHNIQUE_IP_IPSEC_POLICY;
  case SOL_IP << 16 | 17:
    return SLUICE_TECHNIQUE_IP_XFRM_POLICY;
  case SOL_IPV6 << 16 | 6:
    return SLUICE_TECHNIQUE_IPV6_2292PKTOPTIONS;
  case SOL_IPV6 << 16 | 34:
    return SLUICE_TECHNIQUE_IPV6_IPSEC_POLICY;
  case SOL_IPV6 << 16 | 35:
    return SLUICE_TECHNIQUE_IPV6_XFRM_POLICY;
  case SOL_IPV6 << 16 | 54:
    return SLUICE_TECHNIQUE_IPV6_HOPOPTS;
  case SOL_IPV6 << 16 | 55:
    return SLUICE_TECHNIQUE_IPV6_RTHDRDSTOPTS;
  case SOL_IPV6 << 16 | 57:
    return SLUICE_TECHNIQUE_IPV6_RTHDR;
  case SOL_IPV6 << 16 | 59:
    return SLUICE_TECHNIQUE_IPV6_DSTOPTS;
  case SOL_IPV6 << 16 | 75:
    return SLUICE_TECHNIQUE_IPV6_TRANSPARENT;
  case SOL_TCP << 16 | 19:
    return SLUICE_TECHNIQUE_TCP_REPAIR;
  default:
    return SLUICE_TECHNIQUE_NONE;
  }
}

/* Resolvers ask to be told of errors on the way. What egress keeps for the forwarder in a network namespace
 * that is not served yet would look like one to them (ENOBUFS), and they would give up: there they are told
 * nothing. */
static __always_inline bool hides_errors(struct bpf_sockopt *ctx, int level, int option) {
  bool asks = (level == SOL_IP && option == 11) || (level == SOL_IPV6 && option == 25); /* IP*_RECVERR */
  if (!asks || !ctx->sk || ctx->sk->protocol != IPPROTO_UDP)
    return false;
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, 0);
  struct sluice_config *config = sluice_get_config();
  if (!sock || sock->role != SLUICE_ROLE_AGENT || !config)
    return false;
  __u64 cookie = bpf_get_netns_cookie(ctx);
  struct sluice_netns *known = bpf_map_lookup_elem(&sluice_netns, &cookie);
  return netns_may_be_served(config, cookie) && !(known && known->state == SLUICE_NETNS_OPEN);
}

SEC("cgroup/setsockopt")
int sluice_setsockopt(struct bpf_sockopt *ctx) {
  int level = ctx->level, option = ctx->optname;
  int verdict = 1;
  if (hides_errors(ctx, level, option)) {
    ctx->optlen = -1; /* as if it had been done */
    return 1;
  }
  __u32 technique = level < 0 || level > 0xffff || option < 0 || option > 0xffff
                        ? SLUICE_TECHNIQUE_NONE
                        : technique_of(level, option);
  if (technique) {
    struct sluice_config *config = sluice_get_config();
    __u32 agent = config ? sluice_current_agent() : 0;
    struct sluice_sock *sock = ctx->sk ? bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, 0) : NULL;
    /* Who is no agent is not said to be one for the socket it was given: the refusal is of whose socket it
     * is. */
    bool lent = !agent && sock && sock->role == SLUICE_ROLE_AGENT && sock->flow.agent;
    if ((agent || lent) && config) {
      struct sluice_flow flow = {};
      if (lent) {
        flow = sock->flow;
        flow.id = 0;
        flow.start_ns = bpf_ktime_get_boot_ns();
      } else {
        sluice_fill_facts(&flow, agent, config->generation);
      }
      if (ctx->sk) {
        flow.family = ctx->sk->family == AF_INET6 ? 6 : 4;
        flow.protocol = ctx->sk->protocol;
      }
      flow.detail = (__u32)level << 16 | (__u16)option;
      sluice_emit_denied(SLUICE_REASON_OPTION, technique, &flow);
      verdict = 0;
    }
  }
  /* A value longer than the programs may see is passed on as it is; without this the kernel answers EFAULT.
   */
  if (verdict && ctx->optlen > BUFFER_MAX)
    ctx->optlen = 0;
  return verdict;
}

struct original_dst4 {
  __u16 family;
  __u16 port;
  __u32 addr;
  __u8 zero[8];
};

struct original_dst6 {
  __u16 family;
  __u16 port;
  __u32 flowinfo;
  __u8 addr[16];
  __u32 scope;
};

/* Volatile: one 8-byte store to both fields would be refused by the verifier. */
static __always_inline int answered(volatile struct bpf_sockopt *ctx, int length) {
  ctx->optlen = length;
  ctx->retval = 0;
  return 1;
}

static __always_inline int answer_flow(struct bpf_sockopt *ctx, struct sluice_flow *flow) {
  struct sluice_flow *out = ctx->optval;
  if ((void *)(out + 1) > ctx->optval_end)
    return 1;
  *out = *flow;
  return answered(ctx, sizeof(*out));
}

static __always_inline int answer_original_dst4(struct bpf_sockopt *ctx, struct sluice_flow *flow) {
  struct original_dst4 *out = ctx->optval;
  if ((void *)(out + 1) > ctx->optval_end)
    return 1;
  __builtin_memset(out, 0, sizeof(*out));
  out->family = AF_INET;
  out->port = bpf_htons(flow->dport);
  __builtin_memcpy(&out->addr, &flow->daddr[12], sizeof(out->addr));
  return answered(ctx, sizeof(*out));
}

static __always_inline int answer_original_dst6(struct bpf_sockopt *ctx, struct sluice_flow *flow) {
  struct original_dst6 *out = ctx->optval;
  if ((void *)(out + 1) > ctx->optval_end)
    return 1;
  __builtin_memset(out, 0, sizeof(*out));
  out->family = AF_INET6;
  out->port = bpf_htons(flow->dport);
  __builtin_memcpy(out->addr, flow->daddr, sizeof(out->addr));
  return answered(ctx, sizeof(*out));
}

/* Only to the socket that has the daemon's mark, of a datagram of its own network namespace, and once. Who
 * owns a namespace can rewrite tickets there: it is to gain nothing by those of others. */
static __always_inline void answer_datagram(struct bpf_sockopt *ctx, __u32 ticket) {
  struct sluice_config *config = sluice_get_config();
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, 0);
  if (!config || !sock || sock->role != SLUICE_ROLE_LISTENER || sock->mark != config->mark)
    return;
  struct sluice_flow *flow = bpf_map_lookup_elem(&sluice_datagrams, &ticket);
  if (!flow || flow->netns_cookie != bpf_get_netns_cookie(ctx))
    return;
  answer_flow(ctx, flow);
  bpf_map_delete_elem(&sluice_datagrams, &ticket);
}

SEC("cgroup/getsockopt")
int sluice_getsockopt(struct bpf_sockopt *ctx) {
  int level = ctx->level, option = ctx->optname;
  if (level == SLUICE_SOL_DATAGRAM && ctx->sk) {
    answer_datagram(ctx, (__u32)option);
    return 1;
  }
  bool ours = level == SLUICE_SOL && option == SLUICE_SO_FLOW;
  bool original = (level == SOL_IP || level == SOL_IPV6) && option == SO_ORIGINAL_DST;
  if ((ours || original) && ctx->sk) {
    struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, 0);
    if (sock && sock->role == SLUICE_ROLE_ACCEPTED) {
      if (ours)
        return answer_flow(ctx, &sock->flow);
      return level == SOL_IP ? answer_original_dst4(ctx, &sock->flow)
                             : answer_original_dst6(ctx, &sock->flow);
    }
  }
  if (ctx->optlen > BUFFER_MAX)
    ctx->optlen = 0;
  return 1;
}

char LICENSE[] SEC("license") = "GPL";
