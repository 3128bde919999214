/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Who is calling: finds the agent of the current task, and its facts.
 *
 * Tasks here are those the kernel has given with their type (bpf_get_current_task_btf(), arguments of
 * tracepoints and iterators): their fields are read as they stand, where an address takes a call for each
 * step.
 */
#ifndef SLUICE_AGENT_H
#define SLUICE_AGENT_H

#include "enrol.h"
#include "event.h"

/* Directories and mounts that are followed from an executable up to the root. What lies deeper is left to
 * userspace. */
#define SLUICE_EXE_PATH_STEPS 48

/* Where the bit of a pid is, or NULL. */
static __always_inline __u64 *untagged_word(__u32 pid) {
  __u32 at = pid / 64;
  return bpf_map_lookup_elem(&sluice_untagged, &at);
}

static __always_inline bool sluice_is_untagged(__u32 pid) {
  __u64 *word = untagged_word(pid);
  return word && *word >> pid % 64 & 1;
}

static __always_inline void sluice_clear_untagged(__u32 pid) {
  __u64 *word = untagged_word(pid);
  if (word && *word >> pid % 64 & 1)
    __sync_fetch_and_and(word, ~(1ull << pid % 64));
}

/* False if there was no room: the process is then marked as untagged. */
static __always_inline bool sluice_set_tag(struct task_struct *task, __u32 agent, __u32 why, __u32 flags) {
  __u32 pid = task->tgid;
  struct sluice_tag value = {.agent = agent, .why = why, .flags = flags};
  value.since_ns = bpf_ktime_get_boot_ns();
  value.task_start_ns = task->group_leader->start_boottime;
  if (bpf_map_update_elem(&sluice_tags, &pid, &value, BPF_ANY) == 0) {
    sluice_clear_untagged(pid);
    return true;
  }
  sluice_count(SLUICE_COUNTER_UNTAGGED);
  __u64 *word = untagged_word(pid);
  if (word)
    __sync_fetch_and_or(word, 1ull << pid % 64);
  return false;
}

/* The tag of the task's process, or NULL. */
static __always_inline struct sluice_tag *sluice_tag_of(struct task_struct *task) {
  __u32 pid = task->tgid;
  struct sluice_tag *tag = bpf_map_lookup_elem(&sluice_tags, &pid);
  return tag && tag->task_start_ns == task->group_leader->start_boottime ? tag : NULL;
}

/* The agent a task's process was found to be already, or 0. */
static __always_inline __u32 sluice_known_agent_of(struct task_struct *task, struct sluice_config *config) {
  struct sluice_tag *tag = sluice_tag_of(task);
  if (tag)
    return tag->agent;
  return sluice_is_untagged(task->tgid) ? config->unknown_agent : 0;
}

static __always_inline void sluice_read_exe(struct task_struct *task, __u64 *ino, __u32 *dev) {
  struct mm_struct *mm = task->mm;
  struct file *file = mm ? mm->exe_file : NULL;
  struct inode *inode = file ? file->f_inode : NULL;
  *ino = inode ? inode->i_ino : 0;
  *dev = inode ? inode->i_sb->s_dev : 0;
}

/* Whether there is nothing to search for: it is of the daemon's, or a search has found nothing before. */
static __always_inline bool sluice_needs_no_search(struct task_struct *task, struct sluice_config *config) {
  struct sluice_traits traits = {.cgroup_id = task->cgroups->dfl_cgrp->kn->id, .uid = task->cred->uid.val};
  __u32 generation = sluice_generation(config);
  sluice_read_exe(task, &traits.exe_ino, &traits.exe_dev);
  return sluice_is_exempt(&traits, config) || sluice_is_none(&traits, generation);
}

/* The agent of a task's process, or 0: what it once was it stays, and what it is found to be now it becomes.
 * If there is no room to remember that, it is governed as unknown. */
static __always_inline __u32 sluice_agent_of(struct task_struct *task, __u32 flags) {
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return 0;
  __u32 known = sluice_known_agent_of(task, config);
  if (known)
    return known;
  if (sluice_needs_no_search(task, config))
    return 0;
  __u64 found = sluice_search(sluice_address_of(task));
  if (found && !sluice_set_tag(task, (__u32)found, found >> 32, flags))
    return config->unknown_agent;
  return (__u32)found;
}

static __always_inline __u32 sluice_current_agent(void) {
  /* Found by a socket and not by how it began: it ran before policy named it, or has come to its user since.
   */
  return sluice_agent_of(bpf_get_current_task_btf(), SLUICE_TAG_RUNNING);
}

/* Puts the name at `dentry` before what scratch->exe has; the offset where the text begins now, or 0 if there
 * is no room. */
__noinline __u32 sluice_prepend_name(__u64 address, __u32 offset) {
  struct dentry *dentry = (struct dentry *)address;
  struct sluice_scratch *scratch = sluice_get_scratch();
  __u32 length = BPF_CORE_READ(dentry, d_name.len);
  if (!scratch || length >= SLUICE_NAME_MAX || length + 1 > offset)
    return 0;
  char *text = scratch->exe.text;
  offset -= length + 1;
  offset &= SLUICE_EXE_PATH_MAX - 1;
  text[offset] = '/';
  if (bpf_probe_read_kernel(&text[offset + 1], length & (SLUICE_NAME_MAX - 1),
                            BPF_CORE_READ(dentry, d_name.name)))
    return 0;
  return offset;
}

/* Remembers the path of the task's executable by walking its dentries up to the root of its mounts. */
__noinline int sluice_remember_exe(__u64 address, __u64 ino, __u32 dev) {
  struct task_struct *task = (struct task_struct *)address;
  struct sluice_exe_key key = {.ino = ino, .dev = dev};
  struct sluice_scratch *scratch = sluice_get_scratch();
  if (!scratch)
    return 0;
  struct file *exe = BPF_CORE_READ(task, mm, exe_file);
  struct dentry *dentry = BPF_CORE_READ(exe, f_path.dentry);
  struct vfsmount *mnt = BPF_CORE_READ(exe, f_path.mnt);
  struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
  __u32 offset = SLUICE_EXE_PATH_MAX - 1;

  scratch->exe.text[offset] = 0;
  for (int step = 0; step < SLUICE_EXE_PATH_STEPS; step++) {
    struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root);
    struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
    if (dentry != root && dentry != parent) {
      offset = sluice_prepend_name(sluice_address_of(dentry), offset);
      if (!offset)
        return 0;
      dentry = parent;
      continue;
    }
    struct mount *above = BPF_CORE_READ(mount, mnt_parent);
    if (above == mount) {
      scratch->exe.offset = offset;
      bpf_map_update_elem(&sluice_exe_paths, &key, &scratch->exe, BPF_ANY);
      return 0;
    }
    dentry = BPF_CORE_READ(mount, mnt_mountpoint);
    mount = above;
  }
  return 0;
}

/* Puts the name of the cgroup at `address` behind what scratch->cgroup has; the length of the text then, or 0
 * if there is no room. */
__noinline __u32 sluice_append_cgroup(__u64 address, __u32 length) {
  struct cgroup *cgrp = (struct cgroup *)address;
  struct sluice_scratch *scratch = sluice_get_scratch();
  if (!scratch || length >= SLUICE_EXE_PATH_MAX - 1)
    return 0;
  char *text = scratch->cgroup.text;
  length &= SLUICE_EXE_PATH_MAX - 1;
  text[length] = '/';
  long more = bpf_probe_read_kernel_str(&text[length + 1], SLUICE_NAME_MAX, BPF_CORE_READ(cgrp, kn, name));
  return more > 0 ? length + more : 0;
}

/* Remembers the path of a cgroup below the daemon's root, as sluice_walk_cgroup goes. What another task wrote
 * into the scratch meanwhile is taken away again. */
__noinline int sluice_remember_cgroup(__u64 address) {
  struct cgroup *cgrp = (struct cgroup *)address;
  struct sluice_scratch *scratch = sluice_get_scratch();
  struct sluice_config *config = sluice_get_config();
  int depth = BPF_CORE_READ(cgrp, level);
  if (!scratch || !config || depth > SLUICE_ROOT_DEPTH + SLUICE_PATH_DEPTH)
    return 0;
  __u64 id = BPF_CORE_READ(cgrp, kn, id);
  __u64 ancestors = address + bpf_core_field_offset(struct cgroup, ancestors);
  __u64 turn = __sync_fetch_and_add(&scratch->turn, 1) + 1;
  __u32 length = 0;
  bool below = false;

  scratch->cgroup.offset = 0;
  for (int at = 0; at <= SLUICE_ROOT_DEPTH + SLUICE_PATH_DEPTH; at++) {
    if (at > depth)
      break;
    struct cgroup *ancestor = NULL;
    if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor), (void *)(ancestors + at * sizeof(void *))))
      return 0;
    if (!below) {
      below = BPF_CORE_READ(ancestor, kn, id) == config->root_cgroup;
      continue;
    }
    length = sluice_append_cgroup(sluice_address_of(ancestor), length);
    if (!length)
      return 0;
  }
  if (!length)
    return 0;
  bpf_map_update_elem(&sluice_cgroup_paths, &id, &scratch->cgroup, BPF_ANY);
  if (*(volatile __u64 *)&scratch->turn != turn)
    bpf_map_delete_elem(&sluice_cgroup_paths, &id);
  return 0;
}

/* Fills what a task says about itself; leaves the destination alone. */
static __always_inline void sluice_fill_task(struct sluice_flow *flow, struct task_struct *task, __u32 agent,
                                             __u32 generation) {
  flow->start_ns = bpf_ktime_get_boot_ns();
  flow->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
  flow->task_start_ns = task->group_leader->start_boottime;
  flow->pid = task->tgid;
  flow->uid = task->cred->uid.val;
  flow->gid = task->cred->gid.val;
  flow->agent = agent;
  flow->generation = generation;
  sluice_read_exe(task, &flow->exe_ino, &flow->exe_dev);
}

static __always_inline void sluice_fill_facts(struct sluice_flow *flow, __u32 agent, __u32 generation) {
  struct task_struct *task = bpf_get_current_task_btf();
  sluice_fill_task(flow, task, agent, generation);
  struct sluice_exe_key exe = {.ino = flow->exe_ino, .dev = flow->exe_dev};
  if (exe.ino && !bpf_map_lookup_elem(&sluice_exe_paths, &exe))
    sluice_remember_exe(sluice_address_of(task), exe.ino, exe.dev);
  __u64 cgroup = flow->cgroup_id;
  if (!bpf_map_lookup_elem(&sluice_cgroup_paths, &cgroup))
    sluice_remember_cgroup(sluice_address_of(BPF_CORE_READ(task, cgroups, dfl_cgrp)));
}

#endif
