/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * State of programs of another ABI, and how it comes into the maps of this one: at the first use of what it
 * belongs to, or with all that is left. What was moved is not moved again: from then on the former state is
 * that of nobody. Structs are read by plans, because this was built without knowing their former layout.
 *
 * The former maps are given by userspace when the object is loaded; the sizes below are not theirs.
 */
#ifndef SLUICE_FORMER_H
#define SLUICE_FORMER_H

#include "agent.h"
#include "../api/migrate.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_PLANS);
  __type(key, __u32);
  __type(value, struct sluice_plan);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_plans SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
  __type(key, __u32);
  __type(value, __u64);
} former_socks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, __u8[SLUICE_FORMER_KEY_MAX]);
  __type(value, __u64);
} former_tuples SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} former_datagrams SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} former_tags SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} former_untagged SEC(".maps");

/* Structs as they are now, with room behind them for what a move of fewer bytes might have. */
struct sluice_sock_image {
  struct sluice_sock sock;
  __u8 room[SLUICE_MOVE_BYTES];
};

struct sluice_flow_image {
  struct sluice_flow flow;
  __u8 room[SLUICE_MOVE_BYTES];
};

struct sluice_tag_image {
  struct sluice_tag tag;
  __u8 room[SLUICE_MOVE_BYTES];
};

struct sluice_key_image {
  __u8 bytes[SLUICE_FORMER_KEY_MAX];
  __u8 room[SLUICE_MOVE_BYTES];
};

/* Global functions, which the verifier walks once. `source` is the address of what is read. */
#define SLUICE_READER(name, image_type)                                                                      \
  __noinline int name(__u32 number, __u64 source, struct image_type *image) {                                \
    struct sluice_plan *plan = bpf_map_lookup_elem(&sluice_plans, &number);                                  \
    if (!image || !plan)                                                                                     \
      return -1;                                                                                             \
    for (__u32 n = 0; n < SLUICE_MOVES_MAX; n++) {                                                           \
      if (n >= plan->count)                                                                                  \
        break;                                                                                               \
      __u32 to = plan->moves[n].to, bytes = plan->moves[n].bytes;                                            \
      if (to > sizeof(*image) - SLUICE_MOVE_BYTES || bytes > SLUICE_MOVE_BYTES)                              \
        return -1;                                                                                           \
      if (bpf_probe_read_kernel((__u8 *)image + to, bytes, (void *)(source + plan->moves[n].from)))          \
        return -1;                                                                                           \
    }                                                                                                        \
    return 0;                                                                                                \
  }

SLUICE_READER(sluice_read_sock, sluice_sock_image)
SLUICE_READER(sluice_read_flow, sluice_flow_image)
SLUICE_READER(sluice_read_tag, sluice_tag_image)
SLUICE_READER(sluice_read_key, sluice_key_image)

/* Whether the programs of this ABI decide. One write of the generation puts them in force, all at once: with
 * none in force they find nobody to be an agent and nothing stored with any socket. */
static __always_inline bool sluice_is_in_force(void) {
  struct sluice_config *config = sluice_get_config();
  return config && sluice_generation(config);
}

/* Who takes it out of the former table owns it. */
static __noinline int sluice_come_tuple(const struct sluice_tuple *tuple) {
  struct sluice_key_image key = {};
  struct sluice_flow_image image = {};
  if (sluice_read_key(SLUICE_PLAN_TUPLE_BACK, sluice_address_of(tuple), &key))
    return 0;
  void *former = bpf_map_lookup_elem(&former_tuples, &key);
  if (!former || sluice_read_flow(SLUICE_PLAN_FLOW, sluice_address_of(former), &image) ||
      bpf_map_delete_elem(&former_tuples, &key))
    return 0;
  if (bpf_map_update_elem(&sluice_tuples, tuple, &image.flow, BPF_ANY))
    sluice_count(SLUICE_COUNTER_UNPUBLISHED);
  return 0;
}

/*
 * What a socket had stored. Listeners are the daemon's and come by sluice_move_listeners: what they accepted
 * has a listener's storage for a moment, and is no listener. False when there is no room for it.
 */
static __noinline int sluice_come_sock(void *sk) {
  struct sluice_sock *known = bpf_sk_storage_get(&sluice_socks, sk, 0, 0);
  if (known && known->role != SLUICE_ROLE_LISTENER)
    return 1;
  void *former = bpf_sk_storage_get(&former_socks, sk, 0, 0);
  if (!former)
    return 1;
  struct sluice_sock_image image = {};
  if (sluice_read_sock(SLUICE_PLAN_SOCK, sluice_address_of(former), &image))
    return 0;
  struct sluice_sock *sock = &image.sock;
  if (sock->role == SLUICE_ROLE_LISTENER)
    return 1;
  if (sock->role == SLUICE_ROLE_AGENT && sock->state == SLUICE_STATE_PUBLISHED)
    sluice_come_tuple(&sock->tuple);
  if (known) {
    *known = *sock;
    return 1;
  }
  return bpf_sk_storage_get(&sluice_socks, sk, sock, BPF_SK_STORAGE_GET_F_CREATE) != NULL;
}

/* What a process was found to be: it stays that. */
static __noinline int sluice_come_task(struct task_struct *task) {
  __u32 pid = task->tgid;
  if (sluice_tag_of(task) || sluice_is_untagged(pid))
    return 0;
  __u32 at = pid / 64;
  __u64 *word = bpf_map_lookup_elem(&former_untagged, &at), *now = untagged_word(pid);
  if (word && now && *word >> pid % 64 & 1)
    __sync_fetch_and_or(now, 1ull << pid % 64);
  struct sluice_tag_image image = {};
  void *former = bpf_map_lookup_elem(&former_tags, &pid);
  if (!former || sluice_read_tag(SLUICE_PLAN_TAG, sluice_address_of(former), &image) ||
      image.tag.task_start_ns != task->group_leader->start_boottime)
    return 0;
  if (bpf_map_update_elem(&sluice_tags, &pid, &image.tag, BPF_ANY) && now) {
    sluice_count(SLUICE_COUNTER_UNTAGGED);
    __sync_fetch_and_or(now, 1ull << pid % 64);
  }
  /* It may have ended meanwhile, and what forgets it would have come too early. */
  if (BPF_CORE_READ(task, signal, live.counter) <= 0) {
    bpf_map_delete_elem(&sluice_tags, &pid);
    sluice_clear_untagged(pid);
  }
  return 0;
}

static __always_inline void sluice_come_current(void) {
  sluice_come_task(bpf_get_current_task_btf());
}

#endif
