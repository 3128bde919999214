/**
 * What people are told of operations that wait for their answer. As with an operation itself: never what was sent (texts,
 * values), only what kind of thing it is and what it is about.
 */
import { type Operation, qualifiedName } from './operation.ts';

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
  /** Verbs, objects and rules there was no room for. */
  readonly more: number;
  /** It is denied unless it is answered in that time. */
  readonly timeoutMs: number;
}

/** Of each list. */
export const HELD_LIST_MAX = 16;
/** Names the server knows have 63 bytes at most; `schema.name()` of two of them. */
export const HELD_TEXT_MAX_CHARS = 130;

/** What is told of the operations of one message. */
export function describeHeld(
  about: Pick<Held, 'flow' | 'agent' | 'timeoutMs'>,
  rules: readonly string[],
  operations: readonly Operation[],
): Held {
  const verbs = operations.map(({ verb }) => verb);
  const objects = new Set([
    ...operations.flatMap(({ relations }) => relations.map(qualifiedName)),
    ...operations.flatMap(({ functions }) => functions.map((name) => `${qualifiedName(name)}()`)),
  ]);
  const { flow, agent, timeoutMs } = about;
  const lists = [[...new Set(rules)], verbs, [...objects]];
  const more = lists.reduce((sum, { length }) => sum + Math.max(0, length - HELD_LIST_MAX), 0);
  const [shownRules = [], shownVerbs = [], shownObjects = []] = lists.map((list) =>
    list.slice(0, HELD_LIST_MAX).map((text) => text.slice(0, HELD_TEXT_MAX_CHARS)),
  );
  return { flow, agent, rules: shownRules, verbs: shownVerbs, objects: shownObjects, more, timeoutMs };
}
