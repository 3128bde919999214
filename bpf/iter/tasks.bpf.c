// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Iterator over processes, run by the daemon when policy has changed and when somebody asks who is an agent.
 * It tags what policy names and was running before, so that moving away does not free it, gives those that
 * were governed as unknown the agent they turn out to be, and writes one struct sluice_process for each
 * process.
 */
#include "../lib/agent.h"
#include "../lib/iter.h"

#define PF_KTHREAD 0x00200000

/* Not inlined, so that the struct stands in the object's BTF, which the layout test reads. */
static __noinline int write_process(struct seq_file *seq, struct sluice_process *process) {
  return bpf_seq_write(seq, process, sizeof(*process));
}

SEC("iter/task")
int sluice_tasks(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  struct sluice_config *config = sluice_get_config();
  if (!task || !config)
    return 0;
  if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid) || (BPF_CORE_READ(task, flags) & PF_KTHREAD) ||
      BPF_CORE_READ(task, signal, live.counter) <= 0)
    return 0;

  __u32 pid = BPF_CORE_READ(task, tgid);
  struct sluice_tag *tag = sluice_tag_of(task);
  /* Who was not tagged when there was no room is not found anew: it may have been another agent. */
  if (!tag) {
    sluice_agent_of(task, SLUICE_TAG_RUNNING);
  } else if (tag->agent == config->unknown_agent && tag->why != SLUICE_WHY_UNTAGGED) {
    __u64 found = sluice_search(sluice_address_of(task));
    if (found && (__u32)found != tag->agent)
      sluice_set_tag(task, (__u32)found, found >> 32, tag->flags);
  }
  tag = sluice_tag_of(task);

  struct sluice_process process = {};
  process.task_start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  process.cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
  process.pid = pid;
  process.parent = BPF_CORE_READ(task, real_parent, tgid);
  process.uid = BPF_CORE_READ(task, cred, uid.val);
  struct sluice_exe_key exe = {};
  sluice_exe(task, &exe);
  process.exe_ino = exe.ino;
  process.exe_dev = exe.dev;
  if (tag) {
    process.since_ns = tag->since_ns;
    process.agent = tag->agent;
    process.why = tag->why;
    process.flags = tag->flags;
  } else if (sluice_is_untagged(pid)) {
    process.since_ns = process.task_start_ns;
    process.agent = config->unknown_agent;
    process.why = SLUICE_WHY_UNTAGGED;
  }
  write_process(ctx->meta->seq, &process);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
