/**
 * Puts policy's rules about operations into the way of a flow: composes what a protocol reads with what policy says to
 * it, and counts both for the record.
 */
import type { FlowOperations } from '../flow/record.ts';
import { judgeOperation } from '../policy/operations.ts';
import type { CompiledOperationRule } from '../policy/types.ts';
import { ClassifyCache } from '../protocols/postgres/classify-cache.ts';
import type { Denial, Denials } from '../protocols/postgres/denials.ts';
import { StatementGate } from '../protocols/postgres/statement-gate.ts';
import { chain } from './filter-chain.ts';
import { readableSession } from './readable-session.ts';
import type { Recognised } from './recognise.ts';
import type { RelayOptions } from './relay.ts';

/** One for all flows of a worker: what a text means depends on nothing else. */
const cache = new ClassifyCache();

export interface Governed {
  /** The relay's options with the reading put in. */
  readonly wrap: (relay: RelayOptions) => RelayOptions;
  /** Null where there are no rules. */
  readonly counts: () => FlowOperations | null;
}

/** Masks for what stands in statements, which are kept where statements are judged. */
export interface StatementMasks {
  readonly rewrite: (text: Buffer) => Buffer | Denial | null;
  readonly denials: Denials;
}

/**
 * Null where the operations of this flow cannot be read, so that rules about them could not be kept. `agentTls`: the
 * flow goes on inside the agent's own TLS. Without rules there are masks for what stands in statements.
 */
export function governOperations(
  rules: readonly CompiledOperationRule[],
  recognised: Recognised | null,
  agentTls: boolean,
  masks: StatementMasks | null = null,
): Governed | null {
  const opening = readableSession(recognised, agentTls);
  if (opening === null) return null;
  const counts = { total: 0, denied: 0, observed: 0 };
  if (opening === 'none') return { wrap: (relay) => relay, counts: () => ({ ...counts }) };
  // Done before the first statement.
  if (opening.privileged && rules.length > 0) return null;
  const gate = new StatementGate({
    startupBytes: opening.raw.length,
    classify: cache.classify,
    judge: (operation) => {
      const { denied, observed } = judgeOperation(rules, operation);
      counts.total += 1;
      if (observed) counts.observed += 1;
      if (denied === null) return null;
      counts.denied += 1;
      return denialBy(denied, operation.verb);
    },
    onRefused: () => {
      counts.total += 1;
      counts.denied += 1;
    },
    ...masks,
    callsPass: rules.length === 0,
  });
  return {
    wrap: (relay) => ({
      ...relay,
      agentFilter: chain(relay.agentFilter, gate.toServer),
      serverFilter: chain(relay.serverFilter, gate.toAgent),
    }),
    counts: () => (rules.length === 0 ? null : { ...counts }),
  };
}

function denialBy({ name, reason }: CompiledOperationRule, verb: string): Denial {
  return {
    sqlState: '42501',
    message: `Sluice: ${verb} is denied by rule "${name}"${reason === null ? '' : `: ${reason}`}`,
    hint: 'The statement has not been run. The session goes on.',
  };
}
