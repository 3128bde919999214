/**
 * Plays a conversation with the layers of a protocol (src/protocols/layer.ts): events and the commands they are to give, in turn.
 *
 * It is played whole, byte by byte and under random splits, with layers of its own each time, so that nothing may depend on the
 * chunks. What was sent is compared at the next step that expects it; nothing may be left over.
 */
import type { Layer } from '#src/protocols/layer.ts';
import { splitsOf, wipe } from './splits.ts';

type Bytes = Buffer | readonly Buffer[];

export type Step<Answer> =
  /** Events: bytes come. */
  | { readonly agent: Bytes }
  | { readonly server: Bytes }
  /** Event: what was asked last is answered. */
  | { readonly answer: Answer }
  /** Commands: all that has been sent since this was last expected. */
  | { readonly toServer: Bytes }
  | { readonly toAgent: Bytes }
  /** Command: questions that have been asked since the last `asks`; and whether more is to be read. */
  | { readonly asks: readonly string[] }
  | { readonly full: boolean };

export interface Stage<Answer> {
  readonly toServer: Layer<Answer>;
  readonly toAgent: Layer;
  /** Grows by each question. */
  readonly asked: readonly string[];
}

interface Tester {
  equal(found: unknown, wanted: unknown, message: string): unknown;
  strictSame(found: unknown, wanted: unknown, message: string): unknown;
}

/** @param plain what is compared, for bytes that differ each time */
export function play<Answer>(
  t: Tester,
  stage: () => Stage<Answer>,
  steps: readonly Step<Answer>[],
  plain: (bytes: Buffer) => string = (bytes) => bytes.toString('latin1'),
): void {
  const longest = Math.max(0, ...steps.map((step) => ('agent' in step ? join(step.agent).length : 0)));
  // The same way of splitting for all events of one playing.
  splitsOf(Buffer.alloc(longest)).forEach(({ name }, way) => {
    playOnce(t, stage(), steps, { name, way, plain });
  });
}

interface Playing {
  readonly name: string;
  readonly way: number;
  readonly plain: (bytes: Buffer) => string;
}

function playOnce<Answer>(
  t: Tester,
  { toServer, toAgent, asked }: Stage<Answer>,
  steps: readonly Step<Answer>[],
  { name, way, plain }: Playing,
): void {
  const sent: { server: Buffer[]; agent: Buffer[] } = { server: [], agent: [] };
  let heard = 0;
  const push = (layer: Layer<Answer> | Layer, out: Buffer[], bytes: Bytes): void => {
    const splits = splitsOf(join(bytes));
    for (const chunk of splits[way % splits.length]?.chunks ?? []) {
      for (const part of layer.push(chunk)) out.push(Buffer.from(part));
      wipe(chunk);
    }
  };
  const expect = (out: Buffer[], bytes: Bytes, at: string): void => {
    t.equal(plain(Buffer.concat(out.splice(0))), plain(join(bytes)), `${name}: ${at}`);
  };
  steps.forEach((step, index) => {
    const at = `step ${index + 1}, ${Object.keys(step).join()}`;
    if ('agent' in step) push(toServer, sent.server, step.agent);
    else if ('server' in step) push(toAgent, sent.agent, step.server);
    else if ('answer' in step) {
      toServer.answer(step.answer);
      for (const part of toServer.push(Buffer.alloc(0))) sent.server.push(Buffer.from(part));
    } else if ('toServer' in step) expect(sent.server, step.toServer, at);
    else if ('toAgent' in step) expect(sent.agent, step.toAgent, at);
    else if ('asks' in step) {
      t.strictSame(asked.slice(heard), step.asks, `${name}: ${at}`);
      heard = asked.length;
    } else t.equal(toServer.full, step.full, `${name}: ${at}`);
  });
  expect(sent.server, [], 'nothing else to the server');
  expect(sent.agent, [], 'nothing else to the agent');
  t.strictSame(asked.slice(heard), [], `${name}: nothing else is asked`);
}

function join(bytes: Bytes): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.concat(bytes);
}
