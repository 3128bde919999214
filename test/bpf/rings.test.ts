/**
 * Events stay in their ring until they are settled: what a daemon has read and not come to terms with is read again
 * by the next one, and its ring goes on meanwhile.
 */
import t from 'tap';
import { until } from '#test/support/command.ts';
import { PlaneFixture } from '#test/support/plane.ts';

const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());
t.beforeEach(() => {
  fixture.holds = () => false;
  fixture.reset();
});

/** Connects `count` times, one after the other, and gets the proxy's answer each time. */
const connects = (count: number): string => `
import socket
for n in range(${count}):
    s = socket.create_connection(("192.0.2.1", 80), 60)
    s.recv(100)
    s.close()`;

async function closedFlows(count: number): Promise<string[]> {
  return (await fixture.waitFor('closed', count)).map(({ id }) => id);
}

t.test('an event that is not held is read once', async (t) => {
  await fixture.agent(connects(3));
  t.equal((await closedFlows(3)).length, 3);
  fixture.openRings();
  await fixture.agent(connects(1));
  t.equal((await closedFlows(4)).length, 4, 'by the next reader only what is new');
});

t.test('an event that is held is there for the next reader, with all behind it', async (t) => {
  fixture.holds = ({ kind }) => kind === 'closed';
  await fixture.agent(connects(3));
  const [first = '', ...others] = await closedFlows(3);
  t.equal(others.length, 2);
  fixture.settled(first);

  fixture.openRings();
  fixture.events.length = 0;
  t.strictSame(await closedFlows(2), others);
  for (const id of others) fixture.settled(id);

  fixture.openRings();
  fixture.events.length = 0;
  await fixture.agent(connects(1));
  const [last = '', ...more] = await closedFlows(1);
  t.strictSame([[first, ...others].includes(last), more], [false, []], 'nothing is left of what was settled');
});

t.test('the ring is read on by itself while something is held, and after', async (t) => {
  let held: string | null = null;
  fixture.holds = (event) => {
    if (held !== null || event.kind !== 'closed') return false;
    held = event.id;
    return true;
  };
  const closed = (): number => fixture.events.filter(({ kind }) => kind === 'closed').length;
  // Nobody drains: the thread that waits for the ring has to notice each time.
  for (let round = 1; round <= 3; round += 1) {
    await fixture.agent(connects(1));
    await until(`the end of flow ${round}`, () => closed() === round);
  }
  fixture.settled(String(held));
  for (let round = 4; round <= 6; round += 1) {
    await fixture.agent(connects(1));
    await until(`the end of flow ${round}`, () => closed() === round);
  }
  t.equal(closed(), 6, 'each was told once');
});

t.test('an event drained out of turn does not put the reader to sleep', async (t) => {
  fixture.holds = ({ kind }) => kind === 'closed';
  const [first = ''] = await fixture.agent(connects(1)).then(() => closedFlows(1));
  const count = (): number => fixture.events.filter(({ kind }) => kind === 'closed').length;
  await fixture.agent(connects(1));
  await until('the second', () => count() === 2);
  fixture.settled(first);
  await fixture.agent(connects(1));
  await until('the third', () => count() === 3);
  t.equal(count(), 3, 'each was told once');
});
