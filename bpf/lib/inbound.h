/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Whom an agent may serve: nobody, but for the rules policy has under `inbound`. */
#ifndef SLUICE_INBOUND_H
#define SLUICE_INBOUND_H

#include "event.h"

struct sluice_request {
  __u32 agent;
  __u32 generation;
  __u8 peer[16];
  __u16 local_port;
  __u8 protocol;
  bool any_peer; /* bind(): whether anybody at all may be served there */
};

static __always_inline bool sluice_at_least(__u64 high, __u64 low, const __u64 *bound) {
  return high > bound[0] || (high == bound[0] && low >= bound[1]);
}

static __always_inline bool sluice_at_most(__u64 high, __u64 low, const __u64 *bound) {
  return high < bound[0] || (high == bound[0] && low <= bound[1]);
}

/* Id of the rule that allows it, or 0. Not static: so the verifier walks the loop once, and not once for each
 * way that leads here; kernels before 6.5 run out of patience otherwise. */
__noinline __u32 sluice_inbound_rule(const struct sluice_request *request) {
  if (!request)
    return 0;
  struct sluice_inbound_key key = {.generation = request->generation, .agent = request->agent};
  struct sluice_inbound *rules = bpf_map_lookup_elem(&sluice_inbound, &key);
  if (!rules)
    return 0;
  __u64 halves[2];
  __builtin_memcpy(halves, request->peer, sizeof(halves));
  __u64 high = bpf_be64_to_cpu(halves[0]), low = bpf_be64_to_cpu(halves[1]);
  __u32 count = rules->count;
  for (__u32 at = 0; at < SLUICE_INBOUND_MAX; at++) {
    if (at >= count)
      break;
    struct sluice_inbound_range *range = &rules->ranges[at];
    if (range->protocol != request->protocol || request->local_port < range->first_port ||
        request->local_port > range->last_port)
      continue;
    if (request->any_peer ||
        (sluice_at_least(high, low, range->first) && sluice_at_most(high, low, range->last)))
      return range->rule;
  }
  return 0;
}

#endif
