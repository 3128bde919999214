/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Tells userspace. Never decides: a full ring costs an event, which is counted, and nothing else. */
#ifndef SLUICE_EVENT_H
#define SLUICE_EVENT_H

#include "maps.h"

static __always_inline __u64 sluice_next_id(void) {
  __u32 zero = 0;
  __u64 *next = bpf_map_lookup_elem(&sluice_seq, &zero);
  return next ? __sync_fetch_and_add(next, 1) : 0;
}

static __always_inline void sluice_count(__u32 index) {
  __u64 *counter = bpf_map_lookup_elem(&sluice_counters, &index);
  if (counter)
    (*counter)++;
}

/* Not inlined, so that the struct stands in the objects' BTF, which the layout test reads. */
static __noinline int sluice_fill_event(struct sluice_event *event, __u32 kind, __u32 reason,
                                        const struct sluice_flow *flow) {
  event->kind = kind;
  event->reason = reason;
  event->time_ns = bpf_ktime_get_boot_ns();
  event->flow = *flow;
  return 0;
}

static __always_inline void sluice_emit(void *ring, __u32 lost_index, __u32 kind, __u32 reason,
                                        const struct sluice_flow *flow) {
  struct sluice_event *event = bpf_ringbuf_reserve(ring, sizeof(*event), 0);
  if (!event) {
    sluice_count(lost_index);
    return;
  }
  sluice_fill_event(event, kind, reason, flow);
  bpf_ringbuf_submit(event, 0);
}

static __always_inline void sluice_emit_flow(__u32 kind, const struct sluice_flow *flow) {
  sluice_emit(&sluice_ring_flow, 0, kind,
              kind == SLUICE_EVENT_UNDELIVERED ? SLUICE_REASON_NOT_DELIVERED : SLUICE_REASON_NONE, flow);
}

static __always_inline void sluice_emit_denied(__u32 reason, const struct sluice_flow *flow) {
  sluice_count(2 + reason);
  sluice_emit(&sluice_ring_deny, 1, SLUICE_EVENT_DENIED, reason, flow);
}

#endif
