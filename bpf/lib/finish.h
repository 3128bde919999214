/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Ends the accounting of a connection that was redirected but never reached a worker. */
#ifndef SLUICE_FINISH_H
#define SLUICE_FINISH_H

#include "event.h"

static __always_inline void sluice_finish_undelivered(struct sluice_sock *sock) {
  __u32 state = sock->state;
  sock->state = SLUICE_STATE_IDLE;
  if (state == SLUICE_STATE_REDIRECTED ||
      (state == SLUICE_STATE_PUBLISHED && bpf_map_delete_elem(&sluice_tuples, &sock->tuple) == 0))
    sluice_emit_flow(SLUICE_EVENT_UNDELIVERED, &sock->flow);
}

#endif
