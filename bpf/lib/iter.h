/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What the iterators are given: types of the kernel, by CO-RE. */
#ifndef SLUICE_ITER_H
#define SLUICE_ITER_H

#include "socket.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;

struct bpf_iter_meta {
  struct seq_file *seq;
};

struct bpf_iter__task {
  struct bpf_iter_meta *meta;
  struct task_struct *task;
};

struct bpf_iter__bpf_sk_storage_map {
  struct bpf_iter_meta *meta;
  struct sock *sk;
};

struct bpf_iter__task_file {
  struct bpf_iter_meta *meta;
  struct task_struct *task;
  __u32 fd;
  struct file *file;
};

#pragma clang attribute pop

#endif
