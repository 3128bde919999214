/** What a status amounts to in one word, for exit codes, monitors and people, and why it is no better. */
import type { Status } from '../api/types.ts';

export interface Health {
  readonly state: 'enforcing' | 'degraded' | 'not enforcing';
  /** One sentence each; empty only for `enforcing`. */
  readonly reasons: readonly string[];
}

/** A store that fails, or a policy that was refused, leaves enforcement whole: that is degraded. */
export function healthOf(status: Status): Health {
  const { store, policy } = status;
  const reasons = [...status.reasons];
  if (!store.ok) reasons.push(`flow records are not stored: ${store.error ?? 'unknown error'}`);
  for (const { number, outOfDescriptors } of status.workers)
    if (outOfDescriptors)
      reasons.push(`worker ${number} has no file descriptors left: connections wait, open flows go on`);
  if (policy.lastError !== null) reasons.push(`the last policy was refused: ${policy.lastError}`);
  if (!status.enforcing) return { state: 'not enforcing', reasons };
  return { state: reasons.length > 0 ? 'degraded' : 'enforcing', reasons };
}
