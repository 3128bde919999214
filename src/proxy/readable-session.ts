/** Whether the messages of a flow can be read, which is asked by whoever keeps rules about what they hold. */
import type { PostgresOpening, Recognised } from './recognise.ts';

/**
 * The start-up of a session of which every message will be read. `none`: there are no messages to read (a request to
 * cancel is no session). Null: they cannot be read, so that nothing about them could be kept.
 *
 * @param agentTls the flow goes on inside the agent's own TLS
 */
export function readableSession(
  recognised: Recognised | null,
  agentTls: boolean,
): Extract<PostgresOpening, { kind: 'startup' }> | 'none' | null {
  if (recognised?.protocol !== 'postgres' || agentTls) return null;
  const { opening } = recognised;
  if (opening.kind === 'cancel') return 'none';
  // The replication protocol has a language of its own.
  return opening.replication ? null : opening;
}
