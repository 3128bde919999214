import t from 'tap';
import type { NameLife } from '#src/policy/types.ts';
import { NameMemory } from '#src/proxy/dns/name-memory.ts';

const LIFE: NameLife = { graceSeconds: 30, maxSeconds: 3_600 };

function made(life = LIFE) {
  let nowMs = 0;
  const memory = new NameMemory({ now: () => nowMs, monotonic: () => nowMs }, life);
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

t.test('for the answer’s life and the grace, and no longer than the most', async (t) => {
  for (const [ttlSeconds, life, seconds] of [
    [0, LIFE, 30],
    [300, LIFE, 330],
    [86_400, LIFE, 3_600],
    [300, { graceSeconds: 0, maxSeconds: 3_600 }, 300],
    [300, { graceSeconds: 600, maxSeconds: 60 }, 60],
  ] as const) {
    const { memory, pass } = made(life);
    memory.remember(1, 'a.test', ['192.0.2.1'], ttlSeconds);
    pass(seconds * 1000 - 1);
    t.equal(memory.nameFor(1, '192.0.2.1'), 'a.test', `${ttlSeconds} s`);
    pass(1);
    t.equal(memory.nameFor(1, '192.0.2.1'), null, `${ttlSeconds} s`);
  }
  const { memory } = made({ graceSeconds: 0, maxSeconds: 60 });
  memory.remember(1, 'a.test', ['192.0.2.1'], 0);
  t.equal(memory.nameFor(1, '192.0.2.1'), null, 'without a grace, not at all what may not be kept');
});

t.test('no earlier name comes back when the last one ends', async (t) => {
  const { memory, pass } = made();
  memory.remember(1, 'lasting.test', ['192.0.2.1'], 3_000);
  memory.remember(1, 'brief.test', ['192.0.2.1'], 1);
  pass(31_000);
  t.equal(memory.nameFor(1, '192.0.2.1'), null);
});

t.test('a change of policy holds for what was resolved before', async (t) => {
  const { memory, pass } = made();
  memory.remember(1, 'a.test', ['192.0.2.1', '192.0.2.2'], 10);
  pass(11_000);
  memory.life = { graceSeconds: 0, maxSeconds: 3_600 };
  t.equal(memory.nameFor(1, '192.0.2.1'), null);
  memory.life = LIFE;
  t.equal(memory.nameFor(1, '192.0.2.2'), 'a.test');
});

t.test('an agent that resolves without end forgets its own names only', async (t) => {
  const { memory } = made();
  memory.remember(2, 'b.test', ['192.0.2.1'], 300);
  for (let n = 0; n < 5000; n += 1) memory.remember(1, 'a.test', [`10.0.${n >> 8}.${n & 255}`], 300);
  t.equal(memory.nameFor(1, '10.0.0.1'), null);
  t.equal(memory.nameFor(1, '10.0.19.135'), 'a.test');
  t.equal(memory.nameFor(2, '192.0.2.1'), 'b.test');
});
