/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The kernel's sockets, for programs that are given them as they are: types by CO-RE. */
#ifndef SLUICE_SOCKET_H
#define SLUICE_SOCKET_H

#include "kernel.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
  union {
    __u32 u6_addr32[4];
  } in6_u;
};

struct sock_common {
  __u32 skc_daddr;
  __u32 skc_rcv_saddr;
  __u16 skc_dport;
  __u16 skc_num;
  unsigned short skc_family;
  volatile unsigned char skc_state;
  struct in6_addr skc_v6_daddr;
  struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
  struct sock_common __sk_common;
  __u16 sk_type;
  __u16 sk_protocol;
};

struct socket {
  struct sock *sk;
};

struct unix_sock {
  struct sock sk;
  struct path path; /* where it is bound; what it accepts has it too */
  struct sock *peer;
};

#pragma clang attribute pop

#endif
