// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The other end of DNS: what the forwarder is sent, and what the agent sees of its answers.
 */
#include "lib/agent.h"

/*
 * Only datagrams with a ticket reach the forwarder's queue: no process that is no agent can fill it, or ask
 * in an agent's name. A priority of that size takes CAP_NET_ADMIN or CAP_NET_RAW. Behind the packet filters,
 * the ticket becomes the mark, which the forwarder is told with each datagram (SO_RCVMARK).
 */
SEC("cgroup_skb/ingress")
int sluice_dns_in(struct __sk_buff *skb) {
  struct bpf_sock *sk = skb->sk;
  if (!sk)
    return 1;
  sk = bpf_sk_fullsock(sk);
  if (!sk || sk->protocol != IPPROTO_UDP)
    return 1;
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, sk, 0, 0);
  if (!sock || sock->role != SLUICE_ROLE_LISTENER)
    return 1;
  __u32 ticket = skb->priority;
  if (!(ticket & SLUICE_TICKET))
    return 0;
  skb->mark = ticket;
  return 1;
}

/* What this datagram socket asked, if the port is the forwarder's; or NULL. */
static __always_inline struct sluice_flow *asked(struct bpf_sock_addr *ctx) {
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, 0);
  if (!sock || sock->role != SLUICE_ROLE_AGENT || sock->state != SLUICE_STATE_DNS)
    return NULL;
  struct sluice_config *config = sluice_get_config();
  if (!config || !config->dns_port || ctx->user_port != bpf_htons(config->dns_port))
    return NULL;
  return &sock->flow;
}

SEC("cgroup/recvmsg4")
int sluice_recvmsg4(struct bpf_sock_addr *ctx) {
  if (ctx->user_ip4 != bpf_htonl(0x7f000001))
    return 1;
  struct sluice_flow *flow = asked(ctx);
  if (flow) {
    __u32 addr;
    __builtin_memcpy(&addr, &flow->daddr[12], sizeof(addr));
    ctx->user_ip4 = addr;
    ctx->user_port = bpf_htons(flow->dport);
  }
  return 1;
}

SEC("cgroup/recvmsg6")
int sluice_recvmsg6(struct bpf_sock_addr *ctx) {
  __u32 third = ctx->user_ip6[2], last = ctx->user_ip6[3];
  if (ctx->user_ip6[0] || ctx->user_ip6[1])
    return 1;
  if (!(third == 0 && last == bpf_htonl(1)) && !(third == bpf_htonl(0xffff) && last == bpf_htonl(0x7f000001)))
    return 1;
  struct sluice_flow *flow = asked(ctx);
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
