/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What an agent may not use though it holds it: sockets without an agent's tag, and Unix sockets that lead to
 * somebody who would go out in its place. For the LSM programs, which see every use of a socket, whoever made
 * it and however it came here.
 *
 * Programs that run for each packet or message of the host ask for the tag of the process alone, which every
 * agent has that was born, executed or moved as one; the others search.
 */
#ifndef SLUICE_FOREIGN_H
#define SLUICE_FOREIGN_H

#include "agent.h"
#include "socket.h"

#define MAY 0
#define REFUSE (-EPERM)
#define CLOSED_UNKNOWN 1 /* refused, because policy kept changing while it was looked up */

/* A socket of an agent is governed by the other hooks, whoever's it is. */
static __always_inline bool is_governed(struct sock *sk) {
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, sk, 0, 0);
  return sock && sock->role == SLUICE_ROLE_AGENT;
}

/* Whether the socket is of no agent and could carry something away. Families that stay in the host are left
 * to what their own hooks say. */
static __always_inline bool is_foreign(struct sock *sk) {
  switch (BPF_CORE_READ(sk, __sk_common.skc_family)) {
  case AF_UNIX:
  case AF_NETLINK:
  case AF_ALG:
    return false;
  case AF_INET:
  case AF_INET6:
    return !is_governed(sk);
  default:
    return true;
  }
}

/* Id of the path policy closes, if a Unix socket (number of its address) is bound to the file that is there,
 * or, with `place`, to any in its place; 0: none. */
__noinline __u32 sluice_is_closed(__u64 address, __u32 place) {
  struct unix_sock *sk = (struct unix_sock *)address;
  struct sluice_config *config = sluice_get_config();
  struct sluice_scratch *scratch = sluice_get_scratch();
  struct dentry *dentry = BPF_CORE_READ(sk, path.dentry);
  if (!config || !scratch || !dentry)
    return 0;
  struct sluice_exe_key file = {.ino = BPF_CORE_READ(dentry, d_inode, i_ino),
                                .dev = BPF_CORE_READ(dentry, d_inode, i_sb, s_dev)};
  for (int attempt = 0; attempt < ENROL_TRIES; attempt++) {
    __u32 generation = sluice_generation(config);
    __u64 turn = __sync_fetch_and_add(&scratch->turn, 1) + 1;
    file.generation = generation;
    __u32 *found = bpf_map_lookup_elem(&sluice_unix_files, &file);
    if (!found && place) {
      struct sluice_exe_place *key = &scratch->place;
      __builtin_memset(key, 0, sizeof(*key));
      key->directory_ino = BPF_CORE_READ(dentry, d_parent, d_inode, i_ino);
      key->dev = BPF_CORE_READ(dentry, d_parent, d_inode, i_sb, s_dev);
      key->generation = generation;
      if (bpf_probe_read_kernel_str(key->name, sizeof(key->name), BPF_CORE_READ(dentry, d_name.name)) < 0)
        return CLOSED_UNKNOWN;
      found = bpf_map_lookup_elem(&sluice_unix_places, key);
    }
    __u32 id = found ? *found : 0;
    if (*(volatile __u64 *)&scratch->turn == turn && sluice_generation(config) == generation)
      return id;
  }
  return CLOSED_UNKNOWN;
}

/* The same of a connection to such a socket, from before its process was an agent or somebody else's. */
static __always_inline __u32 leads_to_closed(struct sock *sk) {
  if (BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX)
    return 0;
  struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
  return peer ? sluice_is_closed(sluice_address_of(peer), 0) : 0;
}

static __always_inline void fill_internet(struct sluice_flow *flow, struct sock *sk) {
  if (flow->family == 4) {
    __u32 mapped[4] = {0, 0, bpf_htonl(0xffff), BPF_CORE_READ(sk, __sk_common.skc_daddr)};
    __builtin_memcpy(flow->daddr, mapped, sizeof(flow->daddr));
  } else {
    BPF_CORE_READ_INTO(&flow->daddr, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
  }
  flow->dport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

static __noinline int refuse_foreign(struct sock *sk, __u32 agent, __u32 technique) {
  struct sluice_config *config = sluice_get_config();
  struct sluice_flow flow = {};
  if (!config || !sk)
    return REFUSE;
  __u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);
  sluice_fill_facts(&flow, agent, config->generation);
  flow.protocol = BPF_CORE_READ(sk, sk_protocol);
  flow.detail = family << 24 | (BPF_CORE_READ(sk, sk_type) & 0xff) << 16 | BPF_CORE_READ(sk, sk_protocol);
  flow.family = family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0;
  if (flow.family)
    fill_internet(&flow, sk);
  sluice_emit_denied(SLUICE_REASON_FOREIGN, technique, &flow);
  return REFUSE;
}

static __noinline int refuse_unix(__u32 closed, __u32 agent, __u32 technique) {
  struct sluice_config *config = sluice_get_config();
  struct sluice_flow flow = {};
  if (!config)
    return REFUSE;
  sluice_fill_facts(&flow, agent, config->generation);
  flow.detail = closed;
  sluice_emit_denied(SLUICE_REASON_UNIX, technique, &flow);
  return REFUSE;
}

/* The agent the calling process was found to be, or 0. */
static __always_inline __u32 tagged_agent(void) {
  struct sluice_config *config = sluice_get_config();
  return config ? sluice_known_agent_of(bpf_get_current_task_btf(), config) : 0;
}

/* A message is about to be sent on the socket, by whatever call. */
static __always_inline int judge_send(struct sock *sk) {
  __u32 agent = tagged_agent();
  if (!agent)
    return MAY;
  if (is_foreign(sk))
    return refuse_foreign(sk, agent, SLUICE_TECHNIQUE_FOREIGN_SEND);
  __u32 closed = leads_to_closed(sk);
  return closed ? refuse_unix(closed, agent, SLUICE_TECHNIQUE_UNIX_SEND) : MAY;
}

#endif
