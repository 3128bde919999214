import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { deadline } from '#src/core/deadline.ts';
import { AgentInput } from '#src/proxy/agent-input.ts';
import { socketPair } from '../proxy/socket-pair.ts';

/** Keeps this process from running, as a long piece of work does. */
function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

t.test('what came in time is heard, however late this process looks', async (t) => {
  const [agent, here] = await socketPair(t.teardown);
  // Timers come next in the event loop, before sockets are looked at.
  await nextTurn();
  const next = new AgentInput(here).next(1);
  agent.write('in time');
  stall(20);
  t.equal(String(await next), 'in time');
});

t.test('a time-out that was called off stays so, when its time is up as well', async (t) => {
  const [agent, here] = await socketPair(t.teardown);
  await nextTurn();
  let passed = false;
  const callOff = deadline(1, () => {
    passed = true;
  });
  here.once('data', callOff).resume();
  agent.write('in time');
  const heard = once(here, 'data');
  stall(20);
  await heard;
  await nextTurn();
  await nextTurn();
  t.equal(passed, false);
});

t.test('without a word the time is up', async (t) => {
  for (const ms of [5, 0, -1]) {
    await new Promise<void>((resolve) => deadline(ms, resolve));
    t.pass(`${ms} ms`);
  }
});
