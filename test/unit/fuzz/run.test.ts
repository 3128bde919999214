/** Each target of the fuzzer for a moment, by count and not by time, from a seed that is always the same. */
import fc from 'fast-check';
import t from 'tap';
import { runTarget } from '#test/fuzz/run.ts';
import { edited } from '#test/fuzz/target.ts';
import { TARGETS } from '#test/fuzz/targets/index.ts';

const SEED = 20_260;

for (const target of TARGETS)
  t.test(`${target.name}: ${target.holds}`, async (t) => {
    const { rounds, failure } = await runTarget(target, { seed: SEED, rounds: target.rounds });
    t.equal(failure, null, failure === null ? '' : `${failure.input}\n${failure.error}`);
    t.equal(rounds, target.rounds);
  });

t.test('what is found is made small, and is found again by seed and path', async (t) => {
  const broken = {
    name: 'broken',
    property: () =>
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        if (bytes.includes(0x41)) throw new Error('an A');
      }),
  };
  const { failure } = await runTarget(broken, { seed: 3, rounds: 1_000 });
  t.match(failure, { target: 'broken', seed: 3, input: '[hex 41]', error: /an A/ });
  const again = await runTarget(broken, { seed: 3, rounds: 1, path: failure?.path ?? '' });
  t.equal(again.failure?.input, '[hex 41]');
});

t.test('edits are done one after the other, wherever they fall', async (t) => {
  const bytes = Buffer.from('abcdef');
  const done = edited(bytes, [
    { kind: 'set', at: 1, bytes: Buffer.from('XY') },
    { kind: 'insert', at: 0, bytes: Buffer.from('-') },
    { kind: 'remove', at: 6, count: 5 },
    { kind: 'repeat', at: 1, count: 2 },
    { kind: 'flip', at: 0, bit: 1 },
  ]);
  t.equal(done.toString('latin1'), '/aXaXYde');
  t.equal(edited(bytes, [{ kind: 'end', at: 9 }]).toString('latin1'), 'ab');
  t.equal(bytes.toString('latin1'), 'abcdef');
});
