// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Makes enrolment stick. A process is tagged when it enters an agent's cgroup, or runs a program or has a
 * user that is enrolled, and its children are tagged at birth; so leaving the cgroup, another program or
 * another uid change nothing. Tags go with the process.
 */
#include "lib/agent.h"
#include "lib/event.h"

static __always_inline void tag(struct task_struct *task, __u32 agent) {
  __u32 pid = BPF_CORE_READ(task, tgid);
  struct sluice_tag value = {.agent = agent};
  value.task_start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  if (bpf_map_update_elem(&sluice_tags, &pid, &value, BPF_ANY))
    sluice_count(SLUICE_COUNTER_UNTAGGED);
}

SEC("tp_btf/sched_process_fork")
int sluice_fork(__u64 *ctx) {
  struct task_struct *child = (struct task_struct *)ctx[1];
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return 0;
  if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
    return 0; /* a thread has its process's tag */
  /* The child may have been put into another cgroup at birth (CLONE_INTO_CGROUP); its parent's agent comes
   * first. */
  __u32 agent = sluice_current_agent(config);
  if (!agent)
    agent = sluice_cgroup_agent(child, config);
  if (agent)
    tag(child, agent);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int sluice_exec(__u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  struct sluice_config *config = sluice_get_config();
  if (!config || sluice_tag_of(task))
    return 0;
  __u32 agent = sluice_current_agent(config);
  if (agent)
    tag(task, agent);
  return 0;
}

/* Called when the task is in its new cgroup already. */
SEC("tp_btf/cgroup_attach_task")
int sluice_attach(__u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[2];
  struct sluice_config *config = sluice_get_config();
  if (!config || sluice_tag_of(task))
    return 0;
  __u32 agent = sluice_cgroup_agent(task, config);
  if (agent)
    tag(task, agent);
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
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
