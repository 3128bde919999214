import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { answerFor, farewell, LINGER_MAX_BYTES, type Refusal } from '#src/proxy/farewell.ts';
import { Landing } from '#src/proxy/landing.ts';
import { socketPair } from './socket-pair.ts';

const refusal = (changes: Partial<Refusal> = {}): Refusal => ({
  reason: 'policy_denied',
  detail: 'not from here',
  flowId: '00000000000000ff',
  denied: true,
  ...changes,
});

t.test('each protocol is answered in its words', async (t) => {
  const cases = [
    ['http', {}, /^HTTP\/1\.1 403 /],
    ['http', { reason: 'protocol_error' }, /^HTTP\/1\.1 400 /],
    ['http', { reason: 'tls_not_offered', denied: false }, /^HTTP\/1\.1 502 /],
    ['http', { reason: 'overloaded', denied: false }, /^HTTP\/1\.1 503 /],
    ['http', { reason: 'internal_error', denied: false }, /^HTTP\/1\.1 500 /],
    ['postgres', {}, /C28000\0/],
    ['postgres', { reason: 'tls_self_signed', denied: false }, /C08001\0/],
    ['postgres', { reason: 'server_reset', denied: false }, /C08006\0/],
    ['postgres', { reason: 'overloaded', denied: false }, /C53300\0/],
  ] as const;
  for (const [protocol, changes, expected] of cases) {
    t.match(answerFor(protocol, null, refusal(changes))?.toString('latin1'), expected);
  }
  const alert = Buffer.from([21, 3, 3, 0, 2, 2, 49]);
  t.same(answerFor('tls', null, refusal()), alert, 'access_denied, fatal');
  t.equal(answerFor('opaque', null, refusal()), null);
  t.equal(answerFor('unknown', null, refusal()), null);
});

t.test('a socket that cannot be written to is closed', async (t) => {
  const socket = new PassThrough() as unknown as PassThrough & Socket;
  socket.end();
  await farewell(socket, Buffer.from('bye'));
  t.equal(socket.destroyed, true);
});

t.test('one that was relayed may send no more after its answer than any other', async (t) => {
  const [agent, agentSide] = await socketPair(t.teardown);
  const { buffer, callback } = Landing.ofAgent(agentSide)?.onread ?? {};
  if (!(buffer instanceof Buffer)) throw new Error('one buffer for all agents');
  const done = farewell(agentSide, Buffer.from('bye'));
  for (let sent = 0; sent < LINGER_MAX_BYTES; sent += buffer.length) callback?.(buffer.length, buffer);
  t.equal(agentSide.destroyed, false);
  callback?.(1, buffer);
  t.equal(agentSide.destroyed, true);
  await done;
  agent.destroy();
});
