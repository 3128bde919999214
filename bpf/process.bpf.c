// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Makes enrolment stick. A process is tagged when it enters an agent's cgroup, or runs a program or has a
 * user that is enrolled, and its children are tagged at birth; so leaving the cgroup, another program or
 * another uid change nothing. Tags go with the process.
 */
#include "lib/agent.h"
#include "lib/netns.h"

SEC("tp_btf/sched_process_fork")
int sluice_fork(__u64 *ctx) {
  struct task_struct *child = (struct task_struct *)ctx[1];
  if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
    return 0; /* a thread has its process's tag */
  /* The child may have been put into another cgroup at birth (CLONE_INTO_CGROUP); its parent's agent comes
   * first. */
  struct task_struct *parent = bpf_get_current_task_btf();
  __u32 agent = sluice_agent_of(parent, SLUICE_TAG_RUNNING);
  if (agent) {
    struct sluice_tag *tag = sluice_tag_of(parent);
    sluice_set_tag(child, agent, tag ? tag->why : SLUICE_WHY_UNTAGGED,
                   SLUICE_TAG_INHERITED | (tag ? tag->flags : 0));
    netns_note_task(child);
    return 0;
  }
  if (sluice_agent_of(child, 0))
    netns_note_task(child);
  return 0;
}

/* The file lies where an enrolled one lay: it was put there since, and userspace has not looked at it yet. */
static __always_inline bool in_enrolled_place(struct task_struct *task, struct sluice_config *config) {
  struct sluice_scratch *scratch = sluice_get_scratch();
  if (!scratch || !(config->flags & SLUICE_HAS_EXE))
    return false;
  struct dentry *dentry = BPF_CORE_READ(task, mm, exe_file, f_path.dentry);
  for (int attempt = 0; attempt < ENROL_TRIES; attempt++) {
    __u32 generation = sluice_generation(config);
    __u64 turn = __sync_fetch_and_add(&scratch->turn, 1) + 1;
    struct sluice_exe_place *place = &scratch->place;
    __builtin_memset(place, 0, sizeof(*place));
    place->directory_ino = BPF_CORE_READ(dentry, d_parent, d_inode, i_ino);
    place->dev = BPF_CORE_READ(dentry, d_parent, d_inode, i_sb, s_dev);
    place->generation = generation;
    if (bpf_probe_read_kernel_str(place->name, sizeof(place->name), BPF_CORE_READ(dentry, d_name.name)) < 0)
      return false;
    bool found = bpf_map_lookup_elem(&sluice_exe_places, place) != NULL;
    if (*(volatile __u64 *)&scratch->turn == turn && sluice_generation(config) == generation)
      return found;
  }
  return true;
}

SEC("tp_btf/sched_process_exec")
int sluice_exec(__u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return 0;
  bool agent = sluice_agent_of(task, 0);
  if (!agent && in_enrolled_place(task, config)) {
    sluice_set_tag(task, config->unknown_agent, SLUICE_WHY_PLACE, 0);
    agent = true;
  }
  /* What enters a network namespace does so just before it executes a program there. */
  if (agent)
    netns_note_task(task);
  return 0;
}

/* Called when the task is in its new cgroup already. */
SEC("tp_btf/cgroup_attach_task")
int sluice_attach(__u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[2];
  if (sluice_agent_of(task, 0))
    netns_note_task(task);
  return 0;
}

SEC("tp_btf/sched_process_exit")
int sluice_exit(__u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  /* The leader may go while other threads stay: the tag is the process's. */
  if (BPF_CORE_READ(task, signal, live.counter) > 0)
    return 0;
  __u32 pid = BPF_CORE_READ(task, tgid);
  bpf_map_delete_elem(&sluice_tags, &pid);
  sluice_clear_untagged(pid);
  /* Nobody is left who could open a listener: connections that would wait for one are refused from now on. So
   * is everybody, whoever may still hold a listener, unless the next daemon is on its way. */
  struct sluice_config *config = sluice_get_config();
  if (config && config->daemon_pid == pid) {
    config->daemon_pid = 0;
    if (!config->hold_until_ns)
      config->mark = 0;
  }
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
