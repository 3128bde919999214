// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Before Linux 6.5, sendfile() and splice() reach a socket without the hook of sendmsg(); what they do pass
 * is the hook of every write to a file. Later kernels need none of it, and it is not loaded there: it would
 * cost each read and write of the host.
 */
#include "../lib/foreign.h"

#define MAY_WRITE 2 /* linux/fs.h */

SEC("lsm/file_permission")
int sluice_lsm_splice(__u64 *ctx) {
  struct file *file = (struct file *)ctx[0];
  if (!((__u32)ctx[1] & MAY_WRITE))
    return MAY;
  struct socket *socket = bpf_sock_from_file(file);
  struct sock *sk = socket ? socket->sk : NULL;
  return sk ? judge_send(sk) : MAY;
}

char LICENSE[] SEC("license") = "GPL";
