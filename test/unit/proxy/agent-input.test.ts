import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { AgentInput } from '#src/proxy/agent-input.ts';

/** None passes because the machine is busy. */
const LONG_MS = 120_000;
// An AgentInput uses nothing of a socket that a duplex stream has not.
const stream = (): PassThrough & Socket =>
  new PassThrough({ autoDestroy: false }) as unknown as PassThrough & Socket;

t.test('chunks come one by one and are kept until taken', async (t) => {
  const socket = stream();
  const input = new AgentInput(socket);
  socket.write('one');
  t.equal(String(await input.next(LONG_MS)), 'one');
  t.equal(socket.isPaused(), true, 'nothing is read between');
  socket.write('two');
  t.equal(String(await input.next(LONG_MS)), 'two');
  t.equal(String(input.take()), 'onetwo');
  t.equal(input.take(), null);
});

t.test('the end, again and again', async (t) => {
  const socket = stream();
  const input = new AgentInput(socket);
  socket.end();
  t.equal(await input.next(LONG_MS), 'end');
  t.equal(await input.next(LONG_MS), 'end');
});

t.test('silence', async (t) => {
  t.equal(await new AgentInput(stream()).next(1), 'timeout');
  t.equal(await new AgentInput(stream()).next(-5), 'timeout', 'a deadline that has passed');
});

t.test('a socket that is gone', async (t) => {
  const socket = stream();
  socket.on('error', () => undefined);
  const input = new AgentInput(socket);
  const next = input.next(LONG_MS);
  socket.destroy(new Error('reset'));
  await t.rejects(next, { message: 'the agent closed the connection' });
  await t.rejects(input.next(LONG_MS), { message: 'the agent closed the connection' });
});
