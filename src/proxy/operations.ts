/**
 * Puts policy's rules about operations into the way of a flow: composes what a protocol reads with what policy says to
 * it, and counts both for the record.
 */
import { type FlowHold, HOLDS_RECORDED_MAX, type ShownHeld, shownText } from '../flow/hold.ts';
import type { FlowOperations } from '../flow/record.ts';
import { judgeOperation } from '../policy/operations.ts';
import type { CompiledOperationRule } from '../policy/types.ts';
import { ClassifyCache } from '../protocols/postgres/classify-cache.ts';
import { type Denial, type Denials, NOT_RUN } from '../protocols/postgres/denials.ts';
import type { ShownMasks } from '../protocols/postgres/masking/requests/shown-masks.ts';
import { valuesOf } from '../protocols/postgres/shown.ts';
import { type Asked, StatementGate } from '../protocols/postgres/statement-gate.ts';
import type { Approver } from './approver.ts';
import { Holder } from './holder.ts';
import type { Gating } from './layers.ts';
import { readableSession } from './readable-session.ts';
import type { Recognised } from './recognise.ts';

/** One for all flows of a worker: what a text means depends on nothing else. */
const cache = new ClassifyCache();

/** Masks for what stands in statements, which are kept where statements are judged. */
export interface StatementMasks {
  /** What it denies it counts itself. */
  readonly rewrite: (text: Buffer, name: string | null) => Buffer | Denial | null;
  /** A statement was not understood, and is denied for it. */
  readonly onRefused: () => void;
  readonly denials: Denials;
}

export interface GovernOptions {
  readonly rules: readonly CompiledOperationRule[];
  readonly recognised: Recognised | null;
  /** The flow goes on inside the agent's own TLS. */
  readonly agentTls: boolean;
  /** Who is asked about what policy holds. */
  readonly approver: Approver;
  /** Id of the flow. */
  readonly flow: string;
  /** Null: it is none of the policy's. */
  readonly agent: string | null;
  /** For what stands in statements; kept without rules as well. */
  readonly masks: StatementMasks | null;
  /** For what people are shown of statements they are asked about. */
  readonly shown: ShownMasks | null;
}

export interface Governed {
  /** Null: there is nothing to read. */
  readonly gating: Gating | null;
  /** Null where there are no rules. */
  readonly counts: () => FlowOperations | null;
  /** The agent has asked to cancel what it waits for. */
  readonly cancel: () => void;
  /** The flow is over: nothing waits any more. */
  readonly close: () => void;
}

/** Null where the operations of this flow cannot be read, so that rules about them could not be kept. */
export function governOperations(options: GovernOptions): Governed | null {
  const { rules, recognised, agentTls, approver, flow, agent, masks, shown } = options;
  const opening = readableSession(recognised, agentTls);
  if (opening === null) return null;
  const counts = { total: 0, denied: 0, held: 0, approved: 0, observed: 0 };
  const holds: FlowHold[] = [];
  const countsNow = (): FlowOperations | null =>
    rules.length === 0 ? null : { ...counts, holds: [...holds] };
  if (opening === 'none')
    return { gating: null, counts: countsNow, cancel: () => undefined, close: () => undefined };
  // Done before the first statement.
  if (opening.privileged && rules.length > 0) return null;
  let wake = (): void => undefined;
  const holder = new Holder({
    rules,
    approver,
    flow,
    agent,
    onHeld: (count) => {
      counts.held += count;
    },
    onEnded: (count, hold) => {
      counts[hold.outcome === 'approved' ? 'approved' : 'denied'] += count;
      holds.push(hold);
      if (holds.length > HOLDS_RECORDED_MAX) holds.shift();
    },
  });
  const gate = new StatementGate({
    startupBytes: opening.raw.length,
    classify: cache.classify,
    judge: (operation) => {
      const { denied, held, observed } = judgeOperation(rules, operation);
      counts.total += 1;
      if (observed) counts.observed += 1;
      if (denied === null) return held.length > 0 ? 'hold' : null;
      counts.denied += 1;
      return denialBy(denied, operation.verb);
    },
    mayHold: rules.some(({ action }) => action === 'hold'),
    decide: (asked) => holder.decide(asked.operations, shownOf(asked, shown)),
    ...masks,
    onRefused: (of) => {
      if (rules.length === 0) masks?.onRefused();
      if (of === 'unjudged') counts.total += 1;
      counts.denied += 1;
    },
    callsPass: rules.length === 0,
    onTerminate: () => holder.release('the agent has left'),
  });
  holder.start((answer) => {
    gate.toServer.answer(answer);
    wake();
  });
  return {
    gating: {
      gate,
      onAnswer: (call) => {
        wake = call;
      },
      release: () => holder.release('the agent has left'),
    },
    counts: countsNow,
    cancel: () => holder.cancel(),
    close: () => holder.release('the flow has ended'),
  };
}

/** Null: the values cannot be read, or not masked. */
function shownOf({ texts, bind }: Asked, masks: ShownMasks | null): ShownHeld | null {
  try {
    const [text = Buffer.alloc(0)] = texts;
    const values = bind === null ? null : (masks?.bind(bind.message, text, bind.types) ?? bind.message);
    return {
      texts: texts.map((each) => shownText(masks === null ? each : masks.text(each), each.length)),
      values: values === null ? [] : valuesOf(values, bind?.types ?? []),
    };
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function denialBy({ name, reason }: CompiledOperationRule, verb: string): Denial {
  return {
    sqlState: '42501',
    message: `Sluice: ${verb} is denied by rule "${name}"${reason === null ? '' : `: ${reason}`}`,
    hint: NOT_RUN,
  };
}
