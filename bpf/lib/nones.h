/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Who is no agent, remembered. Nearly all connections of a host are made by those, and to find that out anew
 * for each is most of what they would pay for Sluice.
 *
 * What is remembered is all that policy is asked about (cgroup, executable, user) with the generation of the
 * tables that had nothing for it: it is believed only for exactly the same, so a process that moves, executes
 * another program or changes its user is another entry, and a change of policy makes all of them worthless at
 * once. Tags are asked before: who was found to be an agent, or was made one by hand, never comes here.
 *
 * Each CPU has its own entries, each at one place that follows from what it is about. Another that falls on
 * the same place takes it over, which costs its owner a search and nothing else. Each object of programs has
 * a map of its own, which is not pinned: it begins empty with every daemon, and nothing is to be done about
 * it when the layout of anything changes.
 */
#ifndef SLUICE_NONES_H
#define SLUICE_NONES_H

#include "kernel.h"

#define SLUICE_NONES 256 /* of each CPU; a power of two. 12 kB */

/* What of a task policy is asked about. */
struct sluice_traits {
  __u64 cgroup_id;
  __u64 exe_ino;
  __u32 exe_dev;
  __u32 uid;
};

struct sluice_none {
  __u64 turn; /* odd while it is being written */
  __u64 cgroup_id;
  __u64 exe_ino;
  __u32 exe_dev;
  __u32 uid;
  __u32 generation;
  __u32 pad;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_NONES);
  __type(key, __u32);
  __type(value, struct sluice_none);
} sluice_nones SEC(".maps");

/* Multiplied by an odd number whose bits are mixed (2^64 over the golden ratio), so that the upper bits
 * depend on all below. */
static __always_inline volatile struct sluice_none *none_of(const struct sluice_traits *traits) {
  __u64 mixed = (traits->cgroup_id * 0x9e3779b97f4a7c15ull ^ traits->exe_ino) + traits->uid;
  __u32 at = mixed * 0x9e3779b97f4a7c15ull >> 56;
  return bpf_map_lookup_elem(&sluice_nones, &at);
}

/*
 * Whether the tables of this generation are known to have nothing for it.
 *
 * A task that is preempted here, or in the other function, may find that another of the same CPU has written
 * meanwhile, or is about to: then the entry says nothing.
 */
static __always_inline bool sluice_is_none(const struct sluice_traits *traits, __u32 generation) {
  volatile struct sluice_none *none = none_of(traits);
  if (!none)
    return false;
  __u64 turn = none->turn;
  __u64 differs = none->cgroup_id ^ traits->cgroup_id;
  differs |= none->exe_ino ^ traits->exe_ino;
  differs |= none->exe_dev ^ traits->exe_dev;
  differs |= none->uid ^ traits->uid;
  differs |= none->generation ^ generation;
  return !differs && !(turn & 1) && none->turn == turn && generation;
}

/* To be called by who has searched all tables of that generation, and knows that it was in force throughout.
 */
static __always_inline void sluice_remember_none(const struct sluice_traits *traits, __u32 generation) {
  volatile struct sluice_none *none = none_of(traits);
  if (!none)
    return;
  __u64 turn = none->turn;
  if (turn & 1 || __sync_val_compare_and_swap(&none->turn, turn, turn + 1) != turn)
    return;
  none->cgroup_id = traits->cgroup_id;
  none->exe_ino = traits->exe_ino;
  none->exe_dev = traits->exe_dev;
  none->uid = traits->uid;
  none->generation = generation;
  none->turn = turn + 2;
}

#endif
