/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The few kernel types the programs read, by CO-RE: field offsets are taken from the running kernel's BTF at
 * load, so only the names below must match, and no header of one particular kernel is needed to build.
 */
#ifndef SLUICE_KERNEL_H
#define SLUICE_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../api/sluice.h"

#define EPERM 1
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_ALG 38
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_DCCP 33
#define IPPROTO_ICMPV6 58
#define IPPROTO_SCTP 132
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP 262
#define LOOPBACK_IFINDEX 1 /* lo is the first device of every network namespace (net/core/dev.c) */
#define DNS_PORT 53

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
  __u32 len;
  const unsigned char *name;
};

struct inode;

struct dentry {
  struct dentry *d_parent;
  struct qstr d_name;
  struct inode *d_inode;
};

struct vfsmount {
  struct dentry *mnt_root;
};

struct mount {
  struct mount *mnt_parent;
  struct dentry *mnt_mountpoint;
  struct vfsmount mnt;
};

struct path {
  struct vfsmount *mnt;
  struct dentry *dentry;
};

struct super_block {
  __u32 s_dev;
};

struct inode {
  unsigned long i_ino;
  struct super_block *i_sb;
};

struct file {
  struct path f_path;
  struct inode *f_inode;
};

struct mm_struct {
  struct file *exe_file;
};

struct kernfs_node {
  __u64 id;
  const char *name;
};

struct cgroup {
  int level;
  struct kernfs_node *kn;
  struct cgroup *ancestors[1];
};

struct css_set {
  struct cgroup *dfl_cgrp;
};

typedef struct {
  int counter;
} atomic_t;

struct net {
  __u64 net_cookie;
};

struct nsproxy {
  struct net *net_ns;
};

struct signal_struct {
  atomic_t live; /* threads that have not begun to exit */
};

typedef struct {
  __u32 val;
} kuid_t;

typedef struct {
  __u32 val;
} kgid_t;

struct cred {
  kuid_t uid;
  kgid_t gid;
};

struct task_struct {
  int pid;
  int tgid;
  unsigned int flags;
  struct task_struct *real_parent;
  const struct cred *cred;
  struct signal_struct *signal;
  __u64 start_boottime;
  struct task_struct *group_leader;
  struct mm_struct *mm;
  struct css_set *cgroups;
  struct nsproxy *nsproxy;
};

#pragma clang attribute pop

#endif
