/**
 * What people are told of operations that wait for their answer (`Held`), and what a record tells of them (`FlowHold`). The first,
 * unlike an operation itself, holds what is to be run, as far as it is short, masked as policy masks it: nobody can answer for what they
 * do not see. So it goes to those who answer, and into no log or record.
 */
import { type Operation, qualifiedName } from './operation.ts';

/** A text as it is shown. */
export interface ShownText {
  /** The beginning, if it is long; null: something is to be masked in it that cannot be. */
  readonly text: string | null;
  /** Of the whole. */
  readonly bytes: number;
}

export interface Held {
  /** Id of the flow. */
  readonly flow: string;
  /** Name of the agent in the policy; null if it is none of the policy's. */
  readonly agent: string | null;
  /** Names of the rules by which it is held. */
  readonly rules: readonly string[];
  /** What is to be done, in the protocol's words: `DELETE`. One for each operation of the message, as far as there is room. */
  readonly verbs: readonly string[];
  /** What with: `schema.table`, `function()`; as far as there is room. */
  readonly objects: readonly string[];
  /** What is to be run, and behind it what that executes by name. */
  readonly texts: readonly ShownText[];
  /** Values of its parameters: `'text'`, `42`, `NULL`, bytes in hexadecimal, or how many there are. */
  readonly values: readonly string[];
  /** Of all these lists, what there was no room for. */
  readonly more: number;
  /** It is denied unless it is answered in that time. */
  readonly timeoutMs: number;
}

/**
 * What became of something that had to wait. `withdrawn`: nobody needed an answer any more, or could give one. `refused`: nobody
 * could be asked.
 */
export const HOLD_OUTCOMES = [
  'approved',
  'denied',
  'timed_out',
  'cancelled',
  'withdrawn',
  'refused',
] as const;
export type HoldOutcome = (typeof HOLD_OUTCOMES)[number];

/** Who has answered, as the kernel knows them. */
export interface Answerer {
  readonly uid: number;
  /** Name of that uid; null: it has none here. */
  readonly user: string | null;
  /** Name of the user who has logged in, whoever they have become since (loginuid of proc(5)); null: not known. */
  readonly login: string | null;
}

/** As a flow's record tells of it: kind and objects, and never text or values. */
export interface FlowHold {
  /** Since when, RFC 3339. */
  readonly time: string;
  /** `DELETE app.users`; cut if it is long. */
  readonly what: string;
  /** The first rule that held it. */
  readonly rule: string;
  readonly waited_ms: number;
  readonly outcome: HoldOutcome;
  /** Null where nobody has answered. */
  readonly by: Answerer | null;
  /** Of who has answered, or why nobody has. */
  readonly reason: string | null;
}

/** The newest of a flow. */
export const HOLDS_RECORDED_MAX = 16;
/** As that of a rule. */
export const HOLD_REASON_MAX_CHARS = 500;
/** useradd(8) allows 32. */
export const USER_NAME_MAX_CHARS = 64;

/** Of each list. */
export const HELD_LIST_MAX = 16;
/** Names the server knows have 63 bytes at most; `schema.name()` of two of them. Values are shown shorter. */
export const HELD_TEXT_MAX_CHARS = 130;
/** Of what is shown; statements are rarely longer. */
export const SHOWN_MAX_CHARS = 4_096;
export const SHOWN_TEXTS_MAX = 4;

/** @param bytes as it is shown; null: it is not. @param whole its length */
export function shownText(bytes: Buffer | null, whole: number): ShownText {
  // Four bytes at the most to a character.
  const text = bytes?.toString('utf8', 0, 4 * SHOWN_MAX_CHARS).slice(0, SHOWN_MAX_CHARS) ?? null;
  return { text, bytes: whole };
}

export type ShownHeld = Pick<Held, 'texts' | 'values'>;

/** What is told of the operations of one message. */
export function describeHeld(
  about: Pick<Held, 'flow' | 'agent' | 'timeoutMs'>,
  rules: readonly string[],
  operations: readonly Operation[],
  { texts, values }: ShownHeld,
): Held {
  const verbs = operations.map(({ verb }) => verb);
  const objects = new Set([
    ...operations.flatMap(({ relations }) => relations.map(qualifiedName)),
    ...operations.flatMap(({ functions }) => functions.map((name) => `${qualifiedName(name)}()`)),
  ]);
  const { flow, agent, timeoutMs } = about;
  const lists = [[...new Set(rules)], verbs, [...objects], values];
  const unshown = lists.reduce((sum, { length }) => sum + Math.max(0, length - HELD_LIST_MAX), 0);
  const more = unshown + Math.max(0, texts.length - SHOWN_TEXTS_MAX);
  const [shownRules = [], shownVerbs = [], shownObjects = [], shownValues = []] = lists.map((list) =>
    list.slice(0, HELD_LIST_MAX).map((text) => text.slice(0, HELD_TEXT_MAX_CHARS)),
  );
  return {
    flow,
    agent,
    rules: shownRules,
    verbs: shownVerbs,
    objects: shownObjects,
    texts: texts.slice(0, SHOWN_TEXTS_MAX),
    values: shownValues,
    more,
    timeoutMs,
  };
}

/** @param held what it is about */
export function summaryOf({ verbs, objects }: Pick<Held, 'verbs' | 'objects'>): string {
  return [verbs.join(', '), objects.join(', ')].join(' ').trim().slice(0, HELD_TEXT_MAX_CHARS);
}
