import t from 'tap';
import { encodeFrame, FrameReader } from '#src/protocols/dns/frames.ts';
import { query } from '#test/support/dns-messages.ts';
import { type Outcome, outcomeOf } from '#test/support/outcome.ts';
import { fuzz, underEverySplit } from '#test/support/readers.ts';

const MAX_BYTES = 64;

function readAll(chunks: readonly Buffer[]): Outcome<string[]> {
  const reader = new FrameReader('agent', MAX_BYTES);
  const found: string[] = [];
  return outcomeOf(
    chunks,
    (chunk) => void found.push(...reader.push(chunk).map((bytes) => bytes.toString('hex'))),
    () => found,
  );
}

const one = query();
const other = query({ name: 'other.test' });

t.test('messages behind their length, however they are cut', async (t) => {
  const stream = Buffer.concat([encodeFrame(one), encodeFrame(other)]);
  t.same(underEverySplit(t, readAll, stream), { value: [one.toString('hex'), other.toString('hex')] });
  t.same(readAll([encodeFrame(one).subarray(0, 9)]), { value: [] }, 'not whole yet');
});

t.test('lengths that cannot be', async (t) => {
  t.match(readAll([Buffer.from([0, 0])]), { error: /too short/, fault: 'agent', protocol: 'dns' });
  t.match(readAll([Buffer.from([0, 11])]), { error: /too short/ });
  t.match(readAll([Buffer.from([0, MAX_BYTES + 1])]), { error: /too long/ });
});

t.test('any bytes', async (t) => {
  fuzz(t, { readAll, seeds: [encodeFrame(one), encodeFrame(other)], randomSeed: 4, rounds: 3000 });
});
