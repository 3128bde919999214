/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Network namespaces other than the daemon's. The daemon has no listener there until it learns of an agent in
 * one, so it is told as early as an agent can be seen: when it enters by fork, exec or its cgroup, makes a
 * socket, or connects. A connection that comes before the listener is not refused but held: its SYN is
 * dropped on egress, as any SYN without a marked listener, and the kernel sends it again a few milliseconds
 * later. A DNS question that comes before the forwarder's socket goes to the daemon with the ask: resolvers
 * send theirs again after seconds only.
 */
#ifndef SLUICE_NETNS_H
#define SLUICE_NETNS_H

#include "agent.h"

#define NETNS_ASK_INTERVAL_NS 10000000ull /* the daemon opens a listener in less */
/* First time-out of a held SYN: 32 ms with 250 Hz. It doubles, so that a connection waits 4 s in all. */
#define NETNS_HELD_TIMEOUT_JIFFIES 8

/* Not inlined, so that the struct stands in the objects' BTF, which the layout test reads. */
static __noinline int netns_fill_event(struct sluice_netns_event *event, __u64 cookie, __u32 tid) {
  event->netns_cookie = cookie;
  event->tid = tid;
  event->length = 0;
  return 0;
}

static __always_inline bool netns_ask(__u64 cookie, __u32 tid) {
  struct sluice_netns_event *event = bpf_ringbuf_reserve(&sluice_ring_netns, sizeof(*event), 0);
  if (!event)
    return false;
  netns_fill_event(event, cookie, tid);
  bpf_ringbuf_submit(event, 0);
  return true;
}

/*
 * Asks the daemon for a listener in the namespace `cookie` unless it has been asked a moment ago.
 * `missing`: the caller looked, and there is none. False when there is no hope of one: in the daemon's own
 * namespace, without a daemon, or where it has refused.
 */
static __always_inline bool netns_want_listener(struct sluice_config *config, __u64 cookie, __u32 tid,
                                                bool missing) {
  if (!cookie || cookie == config->home_netns || !config->home_netns)
    return false;
  __u64 now = bpf_ktime_get_boot_ns();
  if (!config->daemon_pid && now >= config->hold_until_ns)
    return false;
  struct sluice_netns *known = bpf_map_lookup_elem(&sluice_netns, &cookie);
  if (known && known->state == SLUICE_NETNS_OPEN && !missing)
    return true;
  if (!known) {
    struct sluice_netns wanted = {.quiet_until_ns = now + NETNS_ASK_INTERVAL_NS,
                                  .state = SLUICE_NETNS_WANTED};
    if (bpf_map_update_elem(&sluice_netns, &cookie, &wanted, BPF_ANY))
      return false;
    netns_ask(cookie, tid);
    return true;
  }
  if (now >= known->quiet_until_ns && netns_ask(cookie, tid))
    known->quiet_until_ns = now + NETNS_ASK_INTERVAL_NS;
  return known->state != SLUICE_NETNS_REFUSED;
}

/* Whether there is hope of a listener there, without asking for one. */
static __always_inline bool netns_may_be_served(struct sluice_config *config, __u64 cookie) {
  if (!cookie || cookie == config->home_netns || !config->home_netns)
    return false;
  if (!config->daemon_pid && bpf_ktime_get_boot_ns() >= config->hold_until_ns)
    return false;
  struct sluice_netns *known = bpf_map_lookup_elem(&sluice_netns, &cookie);
  return !known || known->state != SLUICE_NETNS_REFUSED;
}

/* An agent's task was seen: in the home namespace this is one comparison. */
static __always_inline void netns_note_task(struct task_struct *task) {
  struct sluice_config *config = sluice_get_config();
  if (config)
    netns_want_listener(config, BPF_CORE_READ(task, nsproxy, net_ns, net_cookie), BPF_CORE_READ(task, pid),
                        false);
}

#endif
