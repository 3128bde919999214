/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Tells userspace. Never decides: a full ring costs an event, which is counted, and nothing else.
 *
 * Refusals are counted one by one, by reason and by agent and technique, and told a bounded number of times:
 * an agent can repeat them as fast as it can make system calls.
 */
#ifndef SLUICE_EVENT_H
#define SLUICE_EVENT_H

#include "maps.h"

static __always_inline __u64 sluice_next_id(void) {
  __u32 zero = 0;
  __u64 *next = bpf_map_lookup_elem(&sluice_seq, &zero);
  return next ? __sync_fetch_and_add(next, 1) : 0;
}

/* Atomic though each CPU has its own: a packet may come in between the load and the store of a system call.
 */
static __always_inline void sluice_count(__u32 index) {
  __u64 *counter = bpf_map_lookup_elem(&sluice_counters, &index);
  if (counter)
    __sync_fetch_and_add(counter, 1);
}

static __always_inline void sluice_count_denied(__u32 agent, __u32 technique) {
  struct sluice_denied_key key = {.agent = agent, .technique = technique};
  __u64 *counter = bpf_map_lookup_elem(&sluice_denied, &key);
  if (!counter) {
    __u64 none = 0;
    bpf_map_update_elem(&sluice_denied, &key, &none, BPF_NOEXIST);
    counter = bpf_map_lookup_elem(&sluice_denied, &key);
  }
  if (counter)
    __sync_fetch_and_add(counter, 1);
  else
    sluice_count(SLUICE_COUNTER_UNSORTED);
}

static __always_inline struct sluice_told *sluice_told_of(__u32 agent, __u32 pid, __u32 technique) {
  struct sluice_told_key key = {.agent = agent, .pid = pid, .technique = technique};
  struct sluice_told *told = bpf_map_lookup_elem(&sluice_told, &key);
  if (!told) {
    struct sluice_told none = {};
    bpf_map_update_elem(&sluice_told, &key, &none, BPF_NOEXIST);
    told = bpf_map_lookup_elem(&sluice_told, &key);
  }
  return told;
}

/* Whether one more may be told in this window. */
static __always_inline bool sluice_within(struct sluice_told *told, __u64 now, __u32 limit) {
  __u64 began = told->window_ns;
  if (now - began >= SLUICE_TELL_WINDOW_NS &&
      __sync_val_compare_and_swap(&told->window_ns, began, now) == began)
    told->told = 0;
  return __sync_fetch_and_add(&told->told, 1) < limit;
}

/* Not inlined, so that the struct stands in the objects' BTF, which the layout test reads. */
static __noinline int sluice_fill_event(struct sluice_event *event, __u32 kind, __u32 reason,
                                        const struct sluice_flow *flow) {
  event->kind = kind;
  event->reason = reason;
  event->technique = SLUICE_TECHNIQUE_NONE;
  event->local_port = 0;
  event->time_ns = bpf_ktime_get_boot_ns();
  event->suppressed = 0;
  event->received = 0;
  event->sent = 0;
  event->flow = *flow;
  return 0;
}

static __always_inline void sluice_emit_flow(__u32 kind, const struct sluice_flow *flow) {
  struct sluice_event *event = bpf_ringbuf_reserve(&sluice_ring_flow, sizeof(*event), 0);
  if (!event) {
    sluice_count(0);
    return;
  }
  sluice_fill_event(
      event, kind, kind == SLUICE_EVENT_UNDELIVERED ? SLUICE_REASON_NOT_DELIVERED : SLUICE_REASON_NONE, flow);
  bpf_ringbuf_submit(event, 0);
}

/* What a refusal is besides the flow it would have been. */
struct sluice_refusal {
  __u16 reason;
  __u16 technique;
  __u16 local_port;
  bool again; /* of an attempt that was told: counted only */
};

/* Counts a refusal and tells of it, unless that has been done often enough. An id is given to a flow that has
 * none. What is not told is in `suppressed` of the next of that agent and technique that is. */
static __noinline int sluice_deny(struct sluice_flow *flow, const struct sluice_refusal *refusal) {
  __u32 agent = flow->agent, technique = refusal->technique;
  __u64 now = bpf_ktime_get_boot_ns(), suppressed = 0;

  sluice_count(2 + refusal->reason);
  sluice_count_denied(agent, technique);
  struct sluice_told *all = sluice_told_of(agent, 0, technique);
  struct sluice_told *own = sluice_told_of(agent, flow->pid, technique);
  bool tell = !refusal->again && (!own || sluice_within(own, now, SLUICE_TELL_PROCESS)) &&
              (!all || sluice_within(all, now, SLUICE_TELL_AGENT));
  if (!tell) {
    if (all)
      __sync_fetch_and_add(&all->suppressed, 1);
    return 0;
  }
  struct sluice_event *event = bpf_ringbuf_reserve(&sluice_ring_deny, sizeof(*event), 0);
  if (!event) {
    sluice_count(1);
    if (all)
      __sync_fetch_and_add(&all->suppressed, 1);
    return 0;
  }
  if (all)
    suppressed = __sync_lock_test_and_set(&all->suppressed, 0);
  if (!flow->id)
    flow->id = sluice_next_id();
  sluice_fill_event(event, SLUICE_EVENT_DENIED, refusal->reason, flow);
  event->technique = technique;
  event->local_port = refusal->local_port;
  event->suppressed = suppressed;
  bpf_ringbuf_submit(event, 0);
  return 0;
}

/* As sluice_deny(), of what has no port of its own. */
static __always_inline void sluice_emit_denied(__u32 reason, __u32 technique, struct sluice_flow *flow) {
  struct sluice_refusal refusal = {.reason = reason, .technique = technique};
  sluice_deny(flow, &refusal);
}

#endif
