/** What a worker says of a statement that waits. */
import type { Held } from '#src/flow/hold.ts';

export const held: Held = {
  flow: '0123456789abcdef',
  agent: 'web',
  rules: ['r'],
  verbs: ['DELETE'],
  objects: ['t'],
  texts: [{ text: 'DELETE FROM t', bytes: 13 }],
  values: ['1'],
  more: 0,
  timeoutMs: 1_000,
};
