// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * What userspace runs to move what nobody has asked for yet: iterators over sockets and processes, and, each
 * in one piece that no signal can cut, counts and events.
 */
#include "../lib/former.h"
#include "../lib/iter.h"

#define CPUS_MAX 8192

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} former_counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
  __uint(max_entries, 1);
  __type(key, __u8[SLUICE_FORMER_KEY_MAX]);
  __type(value, __u64);
} former_denied SEC(".maps");

/* The daemon's listeners, and no connection they have accepted: before the programs of this ABI are in force,
 * which will ask for the mark. */
SEC("iter/bpf_sk_storage_map")
int sluice_move_listeners(struct bpf_iter__bpf_sk_storage_map *ctx) {
  struct sock *sk = ctx->sk;
  if (!sk)
    return 0;
  __u32 state = BPF_CORE_READ(sk, __sk_common.skc_state);
  if (state != BPF_TCP_LISTEN && state != BPF_TCP_CLOSE)
    return 0;
  void *former = bpf_sk_storage_get(&former_socks, sk, 0, 0);
  struct sluice_sock_image image = {};
  if (former && !sluice_read_sock(SLUICE_PLAN_SOCK, sluice_address_of(former), &image) &&
      image.sock.role == SLUICE_ROLE_LISTENER)
    bpf_sk_storage_get(&sluice_socks, sk, &image.sock, BPF_SK_STORAGE_GET_F_CREATE);
  return 0;
}

SEC("iter/bpf_sk_storage_map")
int sluice_move_socks(struct bpf_iter__bpf_sk_storage_map *ctx) {
  struct sock *sk = ctx->sk;
  if (sk && sluice_is_in_force())
    sluice_come_sock(sk);
  return 0;
}

SEC("iter/task")
int sluice_move_tasks(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (task && sluice_is_in_force() && BPF_CORE_READ(task, pid) == BPF_CORE_READ(task, tgid))
    sluice_come_task(task);
  return 0;
}

/* All that the CPUs have counted, which is then none. Called for each CPU, by bpf_loop: the verifier would
 * walk as many rounds as there might be CPUs. */
struct counted {
  __u8 key[SLUICE_FORMER_KEY_MAX];
  __u64 sum;
};

static __always_inline long take_count(void *map, __u64 cpu, struct counted *counted) {
  __u64 *count = bpf_map_lookup_percpu_elem(map, &counted->key, cpu);
  if (!count)
    return 1;
  counted->sum += __sync_lock_test_and_set(count, 0);
  return 0;
}

static long take_counter(__u64 cpu, struct counted *counted) {
  return take_count(&former_counters, cpu, counted);
}

static long take_denied(__u64 cpu, struct counted *counted) {
  return take_count(&former_denied, cpu, counted);
}

SEC("syscall")
int sluice_move_count(struct sluice_move_counter *args) {
  __u32 from = args->from, to = args->to;
  struct counted counted = {};
  __u64 *counter = bpf_map_lookup_elem(&sluice_counters, &to);
  if (!counter)
    return -1;
  __builtin_memcpy(counted.key, &from, sizeof(from));
  bpf_loop(CPUS_MAX, take_counter, &counted, 0);
  __sync_fetch_and_add(counter, counted.sum);
  return 0;
}

SEC("syscall")
int sluice_move_refusals(struct sluice_move_denied *args) {
  struct sluice_denied_key key = {.agent = args->agent, .technique = args->technique};
  struct counted counted = {};
  __u64 none = 0;
  __builtin_memcpy(counted.key, args->from, sizeof(counted.key));
  bpf_map_update_elem(&sluice_denied, &key, &none, BPF_NOEXIST);
  __u64 *counter = bpf_map_lookup_elem(&sluice_denied, &key);
  if (!counter)
    return -1;
  bpf_loop(CPUS_MAX, take_denied, &counted, 0);
  __sync_fetch_and_add(counter, counted.sum);
  return 0;
}

/* An event of a former ring, in its present layout. */
static __always_inline int tell_again(void *ring, struct sluice_event *event) {
  struct sluice_event *again = bpf_ringbuf_reserve(ring, sizeof(*again), 0);
  if (!again)
    return -1;
  *again = *event;
  bpf_ringbuf_submit(again, 0);
  return 0;
}

SEC("syscall")
int sluice_move_flow_event(struct sluice_event *event) {
  return tell_again(&sluice_ring_flow, event);
}

SEC("syscall")
int sluice_move_deny_event(struct sluice_event *event) {
  return tell_again(&sluice_ring_deny, event);
}

char LICENSE[] SEC("license") = "GPL";
