/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Datagrams of agents: which are DNS, and which are answers to whom an inbound rule names. */
#ifndef SLUICE_DATAGRAM_H
#define SLUICE_DATAGRAM_H

#include "inbound.h"

/* Whatever address is asked: the forwarder asks the resolvers policy names. */
static __always_inline bool sluice_is_dns(struct sluice_config *config, __u16 port) {
  return config->dns_port && port == DNS_PORT;
}

/* Whether a datagram of this peer was let in to this socket, and would be let in now. */
static __always_inline bool sluice_may_answer(const struct sluice_peer_key *peer, __u32 generation) {
  if (!peer->local_port || !bpf_map_lookup_elem(&sluice_peers, peer))
    return false;
  struct sluice_request request = {.agent = peer->agent,
                                   .generation = generation,
                                   .local_port = peer->local_port,
                                   .protocol = IPPROTO_UDP};
  __builtin_memcpy(request.peer, peer->addr, sizeof(request.peer));
  return sluice_inbound_rule(&request) != 0;
}

#endif
