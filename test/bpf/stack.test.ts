/**
 * Every chain of calls fits the stack of the oldest kernel, which counts frames in larger steps than this one: a program
 * that loads here may be refused there. What is counted out of the objects is held against what the verifier says.
 */
import { globSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { buildPaths } from '#src/kernel/addon.ts';
import { must } from '#test/support/command.ts';
import { type StackUse, stackUse } from '#test/support/stack.ts';

/** Of all kernels, for a chain of calls. */
const STACK_BYTES = 512;
/** One step of 6.1, so that the next frame that grows by a word is seen here. */
const MARGIN_BYTES = 32;
/** What the verifier adds to a program's own frame after it has counted, where it puts a loop in the place of bpf_loop(). */
const INLINED_LOOP_BYTES = 24;

const objects = globSync('**/*.bpf.o', { cwd: buildPaths.objects }).map((file) =>
  join(buildPaths.objects, file),
);
const used = new Map<string, StackUse>(
  objects.flatMap(stackUse).map((use): [string, StackUse] => [use.program, use]),
);

t.test('every program has a step to spare on 6.1', async (t) => {
  t.ok(used.size > 0);
  for (const { program, bytes, chain } of used.values())
    t.ok(bytes <= STACK_BYTES - MARGIN_BYTES, `${program}: ${bytes} bytes, ${chain.join(' > ')}`);
});

t.test('the verifier finds the same frames', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-stack-'));
  const pins = `/sys/fs/bpf/sluice-test-${process.pid}`;
  mkdirSync(pins);
  t.teardown(() => {
    rmSync(directory, { recursive: true });
    rmSync(pins, { recursive: true });
  });
  const program = join(directory, 'stack');
  const source = join(import.meta.dirname, '../support/programs/stack.c');
  await must(['cc', '-O2', '-Wall', '-Werror', '-o', program, source, '-lbpf']);
  const lines = (await must([program, pins, ...objects])).trim().split('\n');
  for (const line of lines) {
    const [name = '', depths = ''] = line.split(' ');
    const [own = 0, ...others] = depths.split('+').map(Number);
    const [counted = 0, ...rest] = used.get(name)?.frames ?? [];
    t.ok(own === counted || own === counted + INLINED_LOOP_BYTES, `${name}: ${own}, counted ${counted}`);
    t.strictSame(sorted(rest), sorted(others), name);
  }
  t.ok(lines.length > used.size / 2, `${lines.length} of ${used.size} programs`);
});

const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);
