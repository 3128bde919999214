// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Network file systems: the kernel makes their connections, some of them in a context that is nobody's. An
 * agent may mount what lies on a device, what any user may mount in a namespace of his own, and a few in
 * which the kernel shows itself. NFS, CIFS, 9p, Ceph, and what is not known, it may not.
 *
 * The hook is asked for each parameter of a mount, the source among them, by mount(2) as by fsconfig(2);
 * without a source a network file system has nowhere to connect to.
 */
#include "../lib/foreign.h"

#define NOT_OURS (-519)   /* -ENOPARAM: somebody else's to understand */
#define FS_REQUIRES_DEV 1 /* linux/fs.h */
#define FS_USERNS_MOUNT 8
#define TYPE_NAME_SIZE 16

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct file_system_type {
  const char *name;
  int fs_flags;
};

struct fs_context {
  struct file_system_type *fs_type;
};

#pragma clang attribute pop

union type_name {
  char text[TYPE_NAME_SIZE];
  __u64 words[TYPE_NAME_SIZE / 8];
};

/* The kernel's own that have neither flag; a system in a container mounts them as it starts. */
static const union type_name within[] = {
    {"autofs"}, {"binfmt_misc"}, {"configfs"}, {"debugfs"},    {"efivarfs"}, {"hugetlbfs"},
    {"pstore"}, {"resctrl"},     {"ramfs"},    {"securityfs"}, {"tracefs"},
};

static __always_inline bool stays_within(struct file_system_type *type) {
  union type_name name = {};
  if (BPF_CORE_READ(type, fs_flags) & (FS_REQUIRES_DEV | FS_USERNS_MOUNT))
    return true;
  if (bpf_probe_read_kernel_str(name.text, sizeof(name.text), BPF_CORE_READ(type, name)) < 0)
    return false;
  for (unsigned i = 0; i < sizeof(within) / sizeof(within[0]); i++)
    if (name.words[0] == within[i].words[0] && name.words[1] == within[i].words[1])
      return true;
  return false;
}

SEC("lsm/fs_context_parse_param")
int sluice_lsm_mount(__u64 *ctx) {
  struct fs_context *context = (struct fs_context *)ctx[0];
  if (stays_within(BPF_CORE_READ(context, fs_type)))
    return NOT_OURS;
  struct sluice_config *config = sluice_get_config();
  __u32 agent = sluice_current_agent();
  if (!config || !agent)
    return NOT_OURS;
  struct sluice_flow flow = {};
  sluice_fill_facts(&flow, agent, config->generation);
  sluice_emit_denied(SLUICE_REASON_FOREIGN, SLUICE_TECHNIQUE_FOREIGN_MOUNT, &flow);
  return REFUSE;
}

char LICENSE[] SEC("license") = "GPL";
