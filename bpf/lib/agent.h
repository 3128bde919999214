/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Who is calling: finds the agent of the current task, and its facts. */
#ifndef SLUICE_AGENT_H
#define SLUICE_AGENT_H

#include "maps.h"

static __always_inline struct sluice_config *sluice_get_config(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&sluice_config, &zero);
}

/* Walks the cgroup's path from the root; the deepest component with an agent wins. */
static __noinline __u32 sluice_walk_cgroup(struct cgroup *cgrp, __u32 generation) {
  __u32 zero = 0, agent = 0, node = 0;
  struct sluice_scratch *scratch = bpf_map_lookup_elem(&sluice_scratch, &zero);
  if (!scratch)
    return 0;
  struct sluice_path_key *key = &scratch->path;
  int depth = BPF_CORE_READ(cgrp, level);
  __u64 ancestors = (__u64)cgrp + bpf_core_field_offset(struct cgroup, ancestors);

  for (int level = 1; level <= SLUICE_PATH_DEPTH; level++) {
    if (level > depth)
      break;
    struct cgroup *ancestor = NULL;
    if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor), (void *)(ancestors + level * sizeof(void *))))
      break;
    const char *name = BPF_CORE_READ(ancestor, kn, name);
    __builtin_memset(key, 0, sizeof(*key));
    key->generation = generation;
    key->parent = node;
    if (bpf_probe_read_kernel_str(key->name, sizeof(key->name), name) < 0)
      break;
    struct sluice_path_node *next = bpf_map_lookup_elem(&sluice_paths, key);
    if (!next)
      break;
    node = next->node;
    if (next->agent)
      agent = next->agent;
  }
  return agent;
}

static __always_inline __u32 sluice_cgroup_agent(struct task_struct *task, struct sluice_config *config) {
  struct cgroup *cgrp = BPF_CORE_READ(task, cgroups, dfl_cgrp);
  __u64 id = BPF_CORE_READ(cgrp, kn, id);
  __u32 generation = config->generation;
  struct sluice_cgroup_agent *known = bpf_map_lookup_elem(&sluice_cgroups, &id);
  if (known && known->generation == generation)
    return known->agent;
  struct sluice_cgroup_agent found = {.generation = generation};
  found.agent = sluice_walk_cgroup(cgrp, generation);
  bpf_map_update_elem(&sluice_cgroups, &id, &found, BPF_ANY);
  return found.agent;
}

static __always_inline void sluice_exe(struct task_struct *task, struct sluice_exe_key *key) {
  struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
  key->ino = BPF_CORE_READ(inode, i_ino);
  key->dev = BPF_CORE_READ(inode, i_sb, s_dev);
}

static __always_inline __u32 sluice_tag_of(struct task_struct *task) {
  __u32 pid = BPF_CORE_READ(task, tgid);
  struct sluice_tag *tag = bpf_map_lookup_elem(&sluice_tags, &pid);
  if (!tag || tag->task_start_ns != BPF_CORE_READ(task, group_leader, start_boottime))
    return 0;
  return tag->agent;
}

/*
 * The agent the current task belongs to, or 0.
 *
 * What it once was it stays. Else cgroup before executable before uid: what an operator placed deliberately
 * outranks what a process happens to be. The daemon and its workers are exempt from the latter two, and only
 * in the daemon's own cgroup, so that no agent becomes a worker by changing its uid.
 */
static __always_inline __u32 sluice_current_agent(struct sluice_config *config) {
  struct task_struct *task = (struct task_struct *)bpf_get_current_task();
  __u32 agent = sluice_tag_of(task);
  if (!agent)
    agent = sluice_cgroup_agent(task, config);
  if (agent || !(config->flags & (SLUICE_HAS_UID | SLUICE_HAS_EXE)))
    return agent;

  __u32 uid = (__u32)bpf_get_current_uid_gid();
  if (BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id) == config->self_cgroup &&
      (uid == config->worker_uid || uid == 0))
    return 0;
  if (config->flags & SLUICE_HAS_EXE) {
    struct sluice_exe_key key = {};
    sluice_exe(task, &key);
    key.generation = config->generation;
    __u32 *by_exe = bpf_map_lookup_elem(&sluice_exes, &key);
    if (by_exe)
      return *by_exe;
  }
  if (config->flags & SLUICE_HAS_UID) {
    struct sluice_uid_key key = {.generation = config->generation, .uid = uid};
    __u32 *by_uid = bpf_map_lookup_elem(&sluice_uids, &key);
    if (by_uid)
      return *by_uid;
  }
  return 0;
}

/* Remembers the path of an executable by walking its dentries up to the root of its mounts. */
static __noinline int sluice_remember_exe(struct task_struct *task, struct sluice_exe_key *key) {
  __u32 zero = 0;
  struct sluice_scratch *scratch = bpf_map_lookup_elem(&sluice_scratch, &zero);
  if (!scratch || !key)
    return 0;
  struct sluice_exe_path *out = &scratch->exe;
  struct file *exe = BPF_CORE_READ(task, mm, exe_file);
  struct dentry *dentry = BPF_CORE_READ(exe, f_path.dentry);
  struct vfsmount *mnt = BPF_CORE_READ(exe, f_path.mnt);
  struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
  __u32 offset = SLUICE_EXE_PATH_MAX - 1;
  bool whole = false;

  out->text[offset] = 0;
  for (int step = 0; step < 48; step++) {
    struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root);
    struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
    if (dentry == root || dentry == parent) {
      struct mount *above = BPF_CORE_READ(mount, mnt_parent);
      if (above == mount) {
        whole = true;
        break;
      }
      dentry = BPF_CORE_READ(mount, mnt_mountpoint);
      mount = above;
      continue;
    }
    __u32 length = BPF_CORE_READ(dentry, d_name.len);
    const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
    if (length >= SLUICE_NAME_MAX || length + 1 > offset)
      break;
    offset -= length + 1;
    offset &= SLUICE_EXE_PATH_MAX - 1;
    out->text[offset] = '/';
    if (bpf_probe_read_kernel(&out->text[offset + 1], length & (SLUICE_NAME_MAX - 1), name))
      break;
    dentry = parent;
  }
  if (whole) {
    out->offset = offset;
    bpf_map_update_elem(&sluice_exe_paths, key, out, BPF_ANY);
  }
  return 0;
}

/* Fills what the current task says about itself; leaves the destination alone. */
static __always_inline void sluice_fill_facts(struct sluice_flow *flow, __u32 agent, __u32 generation) {
  struct task_struct *task = (struct task_struct *)bpf_get_current_task();
  struct sluice_exe_key exe = {};
  __u64 ids = bpf_get_current_uid_gid();

  flow->start_ns = bpf_ktime_get_boot_ns();
  flow->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
  flow->task_start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  flow->pid = BPF_CORE_READ(task, tgid);
  flow->uid = (__u32)ids;
  flow->gid = ids >> 32;
  flow->agent = agent;
  flow->generation = generation;
  sluice_exe(task, &exe);
  flow->exe_ino = exe.ino;
  flow->exe_dev = exe.dev;
  if (exe.ino && !bpf_map_lookup_elem(&sluice_exe_paths, &exe))
    sluice_remember_exe(task, &exe);
}

#endif
