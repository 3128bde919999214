import t from 'tap';
import { LIFE_MAX_MS, LIFE_MIN_MS, NameMemory } from '#src/proxy/dns/name-memory.ts';

function made() {
  let nowMs = 0;
  const memory = new NameMemory({ now: () => nowMs, monotonic: () => nowMs });
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { memory, pass };
}

t.test('the most recent answer to this agent, and to no other', async (t) => {
  const { memory } = made();
  memory.remember(1, 'a.test', ['192.0.2.1', '2001:db8::1'], 300);
  memory.remember(2, 'b.test', ['192.0.2.1'], 300);
  t.equal(memory.nameFor(1, '192.0.2.1'), 'a.test');
  t.equal(memory.nameFor(1, '2001:db8::1'), 'a.test');
  t.equal(memory.nameFor(2, '192.0.2.1'), 'b.test');
  t.equal(memory.nameFor(2, '2001:db8::1'), null);
  t.equal(memory.nameFor(3, '192.0.2.1'), null);
  memory.remember(1, 'c.test', ['192.0.2.1'], 300);
  t.equal(memory.nameFor(1, '192.0.2.1'), 'c.test');
});

t.test('for the answer’s life, within bounds', async (t) => {
  for (const [ttlSeconds, lifeMs] of [
    [0, LIFE_MIN_MS],
    [300, 300_000],
    [86_400, LIFE_MAX_MS],
  ] as const) {
    const { memory, pass } = made();
    memory.remember(1, 'a.test', ['192.0.2.1'], ttlSeconds);
    pass(lifeMs - 1);
    t.equal(memory.nameFor(1, '192.0.2.1'), 'a.test', `${ttlSeconds} s`);
    pass(1);
    t.equal(memory.nameFor(1, '192.0.2.1'), null, `${ttlSeconds} s`);
  }
});

t.test('an agent that resolves without end forgets its own names only', async (t) => {
  const { memory } = made();
  memory.remember(2, 'b.test', ['192.0.2.1'], 300);
  for (let n = 0; n < 5000; n += 1) memory.remember(1, 'a.test', [`10.0.${n >> 8}.${n & 255}`], 300);
  t.equal(memory.nameFor(1, '10.0.0.1'), null);
  t.equal(memory.nameFor(1, '10.0.19.135'), 'a.test');
  t.equal(memory.nameFor(2, '192.0.2.1'), 'b.test');
});
