/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which agent policy makes of a task: by its cgroup, its executable, its user.
 *
 * The tables of a generation are complete before it is in force, and are taken away when the next one is. A
 * look-up that a change of policy has come in between, or another task on the same scratch, is done again,
 * and after that many times in a row the task is governed as unknown: never is it let through.
 *
 * The functions that search are global ones, with numbers for arguments, so that the verifier looks at each
 * once and not at each of its callers.
 */
#ifndef SLUICE_ENROL_H
#define SLUICE_ENROL_H

#include "maps.h"
#include "nones.h"

#define ENROL_TRIES 4

static __always_inline struct sluice_config *sluice_get_config(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&sluice_config, &zero);
}

static __always_inline struct sluice_scratch *sluice_get_scratch(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&sluice_scratch, &zero);
}

static __always_inline __u32 sluice_generation(struct sluice_config *config) {
  return *(volatile __u32 *)&config->generation;
}

/* The number of an address: global functions take no pointers. */
static __always_inline __u64 sluice_address_of(const void *kernel) {
  const void *held = kernel;
  __u64 address = 0;
  bpf_probe_read_kernel(&address, sizeof(address), &held);
  return address;
}

static __always_inline void add_glob_set(struct sluice_scratch *scratch, struct sluice_path_key *key) {
  struct sluice_glob_set *set = bpf_map_lookup_elem(&sluice_glob_sets, key);
  if (!set)
    return;
  for (int word = 0; word < SLUICE_GLOB_WORDS; word++) {
    scratch->found.fits[word] |= set->fits[word];
    scratch->found.ends[word] |= set->ends[word];
  }
}

/* scratch->glob.name := the first `before` bytes of the component, a star, its last `behind` bytes. */
static __always_inline bool shape_component(struct sluice_scratch *scratch, __u32 length, __u32 before,
                                            __u32 behind) {
  const char *name = scratch->path.name;
  if (before + behind > length)
    return false;
  before &= SLUICE_NAME_MAX - 1;
  behind &= SLUICE_NAME_MAX - 1;
  __builtin_memset(scratch->glob.name, 0, sizeof(scratch->glob.name));
  if (bpf_probe_read_kernel(scratch->glob.name, before, name))
    return false;
  scratch->glob.name[before] = '*';
  return bpf_probe_read_kernel(&scratch->glob.name[before + 1], behind, name + (length - behind)) == 0;
}

static __always_inline __u32 lowest_bit(__u64 word) {
  __u32 bit = 0;
  for (int half = 32; half; half >>= 1)
    if (!(word & ((1ull << half) - 1))) {
      word >>= half;
      bit += half;
    }
  return bit;
}

/* Follows all patterns over the component in scratch->path.name; the agent of the first that ends here, or 0.
 */
__noinline __u32 sluice_step_globs(__u32 generation, __u32 level, __u32 length) {
  struct sluice_scratch *scratch = sluice_get_scratch();
  struct sluice_globs *globs = bpf_map_lookup_elem(&sluice_globs, &generation);
  if (!scratch || !globs)
    return 0;
  __builtin_memset(&scratch->found, 0, sizeof(scratch->found));
  __builtin_memcpy(&scratch->glob, &scratch->path, sizeof(scratch->glob));
  scratch->glob.parent = level;
  add_glob_set(scratch, &scratch->glob);
  for (__u32 n = 0; n < SLUICE_GLOB_SHAPES; n++) {
    if (n >= globs->shapes)
      break;
    if (shape_component(scratch, length, globs->shape[n].before, globs->shape[n].behind))
      add_glob_set(scratch, &scratch->glob);
  }
  for (int word = 0; word < SLUICE_GLOB_WORDS; word++)
    scratch->live[word] &= scratch->found.fits[word];
  for (int word = 0; word < SLUICE_GLOB_WORDS; word++) {
    __u64 ended = scratch->live[word] & scratch->found.ends[word];
    if (ended)
      return globs->agents[(word * 64 + lowest_bit(ended)) & (SLUICE_GLOB_MAX - 1)];
  }
  return 0;
}

/* Takes the walk in scratch->walk one component on, into the cgroup at this address: the agent that has it,
 * or 0. At one component the plain path wins. */
__noinline __u32 sluice_step_cgroup(__u64 address, __u32 generation) {
  struct cgroup *cgrp = (struct cgroup *)address;
  struct sluice_scratch *scratch = sluice_get_scratch();
  if (!scratch)
    return 0;
  struct sluice_walk *walk = &scratch->walk;
  struct sluice_path_key *key = &scratch->path;
  __builtin_memset(key, 0, sizeof(*key));
  key->generation = generation;
  key->parent = walk->node;
  long length = bpf_probe_read_kernel_str(key->name, sizeof(key->name), BPF_CORE_READ(cgrp, kn, name));
  if (length <= 0) {
    walk->done = true;
    return 0;
  }
  walk->level++;
  struct sluice_path_node *next = walk->in_trie ? bpf_map_lookup_elem(&sluice_paths, key) : NULL;
  __u32 here = next ? next->agent : 0;
  walk->in_trie = next != NULL;
  walk->node = next ? next->node : 0;
  if (walk->has_globs) {
    __u32 fits = sluice_step_globs(generation, walk->level, length - 1);
    if (!here)
      here = fits;
  }
  walk->done = walk->level == SLUICE_PATH_DEPTH || (!walk->in_trie && !walk->has_globs);
  return here;
}

/* Walks the cgroup's path from the daemon's root; what is not below that has no agent. The deepest component
 * with an agent wins. */
__noinline __u32 sluice_walk_cgroup(__u64 address, __u32 generation) {
  struct cgroup *cgrp = (struct cgroup *)address;
  struct sluice_scratch *scratch = sluice_get_scratch();
  struct sluice_config *config = sluice_get_config();
  if (!scratch || !config)
    return 0;
  int depth = BPF_CORE_READ(cgrp, level);
  __u64 ancestors = address + bpf_core_field_offset(struct cgroup, ancestors);
  __u32 agent = 0;
  bool below = false;

  scratch->walk = (struct sluice_walk){.in_trie = true,
                                       .has_globs = bpf_map_lookup_elem(&sluice_globs, &generation) != NULL};
  for (int word = 0; word < SLUICE_GLOB_WORDS; word++)
    scratch->live[word] = ~0ull;
  for (int at = 0; at <= SLUICE_ROOT_DEPTH + SLUICE_PATH_DEPTH; at++) {
    if (at > depth || scratch->walk.done)
      break;
    struct cgroup *ancestor = NULL;
    if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor), (void *)(ancestors + at * sizeof(void *))))
      break;
    if (!below) {
      below = BPF_CORE_READ(ancestor, kn, id) == config->root_cgroup;
      continue;
    }
    __u32 here = sluice_step_cgroup(sluice_address_of(ancestor), generation);
    if (here)
      agent = here;
  }
  return agent;
}

/* One search lost: policy has changed meanwhile, or somebody else was in the scratch. */
#define SEARCH_AGAIN ~0u

static __always_inline __u32 sluice_cgroup_agent(struct cgroup *cgrp, __u64 id, struct sluice_config *config,
                                                 __u32 generation) {
  volatile struct sluice_cgroup_agent *known = bpf_map_lookup_elem(&sluice_cgroups, &id);
  if (known) {
    __u32 agent = known->agent;
    if (known->generation == generation && known->id == id)
      return agent;
  }
  struct sluice_scratch *scratch = sluice_get_scratch();
  if (!scratch)
    return SEARCH_AGAIN;
  struct sluice_cgroup_agent found = {.id = id, .generation = generation};
  __u64 turn = __sync_fetch_and_add(&scratch->turn, 1) + 1;
  found.agent = sluice_walk_cgroup(sluice_address_of(cgrp), generation);
  if (*(volatile __u64 *)&scratch->turn != turn || sluice_generation(config) != generation)
    return SEARCH_AGAIN;
  bpf_map_update_elem(&sluice_cgroups, &id, &found, BPF_ANY);
  return found.agent;
}

static __always_inline void sluice_exe(struct task_struct *task, struct sluice_exe_key *key) {
  struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
  key->ino = BPF_CORE_READ(inode, i_ino);
  key->dev = BPF_CORE_READ(inode, i_sb, s_dev);
}

/* By executable, then by user; as why << 32 | agent, or 0. */
static __always_inline __u64 look_up_traits(const struct sluice_traits *traits, struct sluice_config *config,
                                            __u32 generation) {
  if (config->flags & SLUICE_HAS_EXE) {
    struct sluice_exe_key key = {.ino = traits->exe_ino, .dev = traits->exe_dev, .generation = generation};
    __u32 *by_exe = bpf_map_lookup_elem(&sluice_exes, &key);
    if (by_exe)
      return (__u64)SLUICE_WHY_EXE << 32 | *by_exe;
  }
  if (config->flags & SLUICE_HAS_UID) {
    struct sluice_uid_key key = {.prefix_bits = 64, .generation = generation, .uid = bpf_htonl(traits->uid)};
    __u32 *by_uid = bpf_map_lookup_elem(&sluice_uids, &key);
    if (by_uid)
      return (__u64)SLUICE_WHY_UID << 32 | *by_uid;
  }
  return 0;
}

/* The daemon and its workers are exempt, and only in the daemon's own cgroup, so that no agent becomes a
 * worker by changing its uid. */
static __always_inline bool sluice_is_exempt(const struct sluice_traits *traits,
                                             struct sluice_config *config) {
  return traits->cgroup_id == config->self_cgroup && (traits->uid == config->worker_uid || traits->uid == 0);
}

/*
 * What policy makes of the task, as why << 32 | agent; 0: nothing.
 *
 * Cgroup before executable before uid: what an operator placed deliberately outranks what a process happens
 * to be. That there is nothing is only said, and remembered, of one generation that was in force throughout:
 * a change may take an agent from its cgroup to its executable, and half of each would miss it.
 */
__noinline __u64 sluice_search(__u64 address) {
  struct task_struct *task = (struct task_struct *)address;
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return 0;
  /* Read once: another may move the task meanwhile. */
  struct cgroup *cgrp = BPF_CORE_READ(task, cgroups, dfl_cgrp);
  struct sluice_exe_key exe = {};
  sluice_exe(task, &exe);
  struct sluice_traits traits = {.cgroup_id = BPF_CORE_READ(cgrp, kn, id),
                                 .exe_ino = exe.ino,
                                 .exe_dev = exe.dev,
                                 .uid = BPF_CORE_READ(task, cred, uid.val)};
  if (sluice_is_exempt(&traits, config))
    return 0;
  for (int attempt = 0; attempt < ENROL_TRIES; attempt++) {
    __u32 generation = sluice_generation(config);
    __u32 by_cgroup = sluice_cgroup_agent(cgrp, traits.cgroup_id, config, generation);
    if (by_cgroup == SEARCH_AGAIN)
      continue;
    if (by_cgroup)
      return (__u64)SLUICE_WHY_CGROUP << 32 | by_cgroup;
    __u64 found = look_up_traits(&traits, config, generation);
    if (found)
      return found;
    if (sluice_generation(config) == generation) {
      sluice_remember_none(&traits, generation);
      return 0;
    }
  }
  return (__u64)SLUICE_WHY_PLACE << 32 | config->unknown_agent;
}

#endif
