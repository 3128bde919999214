/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the programs that move state from the maps of another ABI share with userspace: where each field of a
 * struct was, and where it is now. src/kernel/migrate/plan.ts makes the plans of the BTF of both.
 */
#ifndef SLUICE_MIGRATE_API_H
#define SLUICE_MIGRATE_API_H

#include <linux/types.h>

/* Longer fields are several moves. */
#define SLUICE_MOVE_BYTES 8
#define SLUICE_MOVES_MAX 62

/* Index into `sluice_plans`. */
enum sluice_plan_number {
  SLUICE_PLAN_SOCK = 0,
  SLUICE_PLAN_FLOW = 1,
  SLUICE_PLAN_TAG = 2,
  SLUICE_PLAN_TUPLE_BACK = 3, /* from what a tuple is now to what it was */
  SLUICE_PLANS = 4,
};

struct sluice_move {
  __u16 from;
  __u16 to;
  __u16 bytes;
  __u16 pad;
};

struct sluice_plan {
  __u32 count;
  __u32 pad;
  struct sluice_move moves[SLUICE_MOVES_MAX];
};

/* Longest key of the former table of tuples, and of refusals. */
#define SLUICE_FORMER_KEY_MAX 48

/* Arguments of sluice_move_counter and sluice_move_denied: what was counted, and under which number or key it
 * is now. */
struct sluice_move_counter {
  __u32 from;
  __u32 to;
};

struct sluice_move_denied {
  __u32 agent;
  __u32 technique;
  __u8 from[SLUICE_FORMER_KEY_MAX];
};

#endif
