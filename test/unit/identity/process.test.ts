import { readFileSync } from 'node:fs';
import t from 'tap';
import { isSameProcess, parseStartTicks, startTicks } from '#src/identity/process.ts';
import { statLine } from '#test/unit/identity/fake-proc.ts';

t.test('finds field 22 whatever the process called itself', async (t) => {
  for (const name of ['curl', 'a b', 'x) S 1 (y', ') ) )', '']) {
    t.equal(parseStartTicks(statLine(7, name, 123_456n)), 123_456n, JSON.stringify(name));
  }
});

t.test('says null to anything else', async (t) => {
  const line = statLine(7, 'curl', 123n);
  for (let length = 0; length < line.indexOf(' 123 ') + 1; length++) {
    t.equal(parseStartTicks(line.slice(0, length)), null, `cut to ${length}`);
  }
});

t.test('cuts nanoseconds to ticks the way the kernel does', async (t) => {
  t.equal(startTicks(19_999_999n), 1n);
  t.equal(startTicks(20_000_000n), 2n);
});

t.test('knows this process from another of its number', async (t) => {
  const ticks = parseStartTicks(readFileSync('/proc/self/stat', 'latin1')) ?? 0n;
  t.ok(isSameProcess('/proc', process.pid, ticks * 10_000_000n + 9_999_999n));
  t.notOk(isSameProcess('/proc', process.pid, (ticks + 1n) * 10_000_000n));
  t.notOk(isSameProcess('/proc', 2 ** 22 + 1, 0n), 'no such process');
});
