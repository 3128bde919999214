/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Every map, once. All are pinned by name, so that the objects share them and they outlive the daemon, but
 * for two that are a CPU's own: the scratch, and what is remembered of who is no agent (nones.h). Sizes can
 * be set by the daemon's --table (src/kernel/tables.ts).
 *
 * A full table refuses what is new. The LRU ones let go of the oldest instead, which is harmless for each:
 * see there. None of them says who is an agent, or opens anything.
 */
#ifndef SLUICE_MAPS_H
#define SLUICE_MAPS_H

#include "kernel.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sluice_config);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_config SEC(".maps");

/* Next flow id. Userspace starts it at (unix seconds << 32), so ids grow across reboots. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_seq SEC(".maps");

/* BPF_F_CLONE: what an agent's listener accepts is the agent's too. */
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
  __type(key, __u32);
  __type(value, struct sluice_sock);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_socks SEC(".maps");

/* Flows between SYN and accept. Not an LRU: evicting one would strip a live connection of its identity; a
 * full table leaves new connections without one, and the worker refuses those. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_tuple);
  __type(value, struct sluice_flow);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_tuples SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16384);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_path_key);
  __type(value, struct sluice_path_node);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_paths SEC(".maps");

/* Answers of the path walk by cgroup id. Ids are never reused, so an LRU is safe: a miss walks again. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, __u64);
  __type(value, struct sluice_cgroup_agent);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_cgroups SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries,
         8192); /* two generations of SLUICE_GLOB_MAX patterns, SLUICE_PATH_DEPTH components each */
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_path_key);
  __type(value, struct sluice_glob_set);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_glob_sets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4); /* by generation: the one in force, and the next */
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, struct sluice_globs);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_globs SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 65536); /* a range takes up to 62 */
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_uid_key);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_uids SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_exe_key);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_exes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_exe_place);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_exe_places SEC(".maps");

/* Unix sockets that are closed to agents: by the inode they are bound to, which links and mounts do not
 * change, and by the place where one made anew would lie. Keyed as executables are. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_exe_key);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_unix_files SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_exe_place);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_unix_places SEC(".maps");

/* Enrolled processes by pid. Kept by the process programs; who finds it full is counted, and marked in
 * `sluice_untagged`. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, struct sluice_tag);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_tags SEC(".maps");

/* Agents' processes there was no room for, a bit for each pid: governed as unknown, and allowed nothing.
 * Found by its cgroup, executable or uid alone a process could get rid of what it is, once it has filled the
 * table. */
#define SLUICE_PID_LIMIT (1u << 22) /* PID_MAX_LIMIT of include/linux/threads.h, for 64 bits */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_PID_LIMIT / 64);
  __type(key, __u32);
  __type(value, __u64);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_untagged SEC(".maps");

/* DNS datagrams on their way to the forwarder, by ticket. An LRU: one that the forwarder's full queue dropped
 * is never read, and one that is pushed out is dropped by the forwarder. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, __u32);
  __type(value, struct sluice_flow);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_datagrams SEC(".maps");

/* Paths of executables agents have run, so that one that is gone at once can still be named. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1024);
  __type(key, struct sluice_exe_key);
  __type(value, struct sluice_exe_path);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_exe_paths SEC(".maps");

/* Paths of cgroups agents were in, by id, so that one that is gone at once can still be named: a oneshot unit
 * that connected and ended. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1024);
  __type(key, __u64);
  __type(value, struct sluice_exe_path);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_cgroup_paths SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 8 << 20); /* 58,000 events: a storm outruns the daemon by seconds before any is lost */
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_ring_flow SEC(".maps");

/* Apart from the flow ring, so that a flood of refusals cannot push out the flows. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_ring_deny SEC(".maps");

/* Network namespaces agents were seen in. An LRU is safe: who falls out is asked about again. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, __u64);
  __type(value, struct sluice_netns);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_netns SEC(".maps");

/* What does not fit is asked again with the next SYN, or by the agent's resolver after seconds. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 << 10); /* 400 events */
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_ring_netns SEC(".maps");

/* Refusals by agent and technique, exactly, told or not. Preallocated: an entry may be made in an interrupt.
 */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
  __uint(max_entries, 8192);
  __type(key, struct sluice_denied_key);
  __type(value, __u64);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_denied SEC(".maps");

/* What keeps the deny ring from being flooded. LRU: who is forgotten is told of some times more. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, struct sluice_told_key);
  __type(value, struct sluice_told);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_told SEC(".maps");

/* Whom each agent may serve; an agent that may serve nobody has no entry. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_inbound_key);
  __type(value, struct sluice_inbound);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_inbound SEC(".maps");

/* LRU: a peer that is forgotten is not answered until it asks again. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, struct sluice_peer_key);
  __type(value, __u32); /* id of the inbound rule */
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_peers SEC(".maps");

/* [0] events lost by the flow ring, [1] by the deny ring, [2 + reason] refusals, told or not; then processes
 * that could not be tagged, refusals `sluice_denied` had no room for, and connections `sluice_tuples` had
 * none for. */
#define SLUICE_COUNTER_UNTAGGED (2 + SLUICE_REASON_MAX)
#define SLUICE_COUNTER_UNSORTED (SLUICE_COUNTER_UNTAGGED + 1)
#define SLUICE_COUNTER_UNPUBLISHED (SLUICE_COUNTER_UNSORTED + 1)
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_COUNTER_UNPUBLISHED + 1);
  __type(key, __u32);
  __type(value, __u64);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_counters SEC(".maps");

/* How far a walk of a cgroup's path has come. */
struct sluice_walk {
  __u32 node; /* in sluice_paths */
  __u32 level;
  bool in_trie; /* the path so far is a step of some plain path */
  bool has_globs;
  bool done; /* nothing deeper can have an agent */
};

/*
 * Room that does not fit the 512-byte stack. On a kernel that preempts, two tasks can be in it on one CPU at
 * a time: who decides by what it held takes a turn first, and looks afterwards whether another was taken.
 */
struct sluice_scratch {
  __u64 turn;
  struct sluice_walk walk;
  struct sluice_path_key path;
  struct sluice_path_key glob;
  char spare[SLUICE_NAME_MAX]; /* the verifier takes both halves of a component for as long as they may be */
  struct sluice_glob_set found;
  __u64 live[SLUICE_GLOB_WORDS];
  struct sluice_exe_place place;
  struct sluice_exe_path exe;
  struct sluice_exe_path cgroup;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sluice_scratch);
} sluice_scratch SEC(".maps");

#endif
