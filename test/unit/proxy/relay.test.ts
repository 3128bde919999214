import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { together } from '#src/core/room.ts';
import { Landing, landingOf } from '#src/proxy/landing.ts';
import { type RelayResult, streamRelay } from '#src/proxy/relay.ts';
import { fdOf } from '#src/proxy/socket-fd.ts';
import { until } from '#test/support/command.ts';
import { endOf, readAll, readBytes, type Teardown } from './harness.ts';
import { socketPair as pair } from './socket-pair.ts';

interface Relayed {
  readonly agent: Socket;
  readonly server: Socket;
  readonly agentSide: Socket;
  readonly serverSide: Socket;
  readonly result: Promise<RelayResult>;
}

const nothing = { agentHead: null, serverHead: null, agentFilter: null, serverFilter: null };

async function relayed(
  teardown: Teardown,
  options: Parameters<typeof streamRelay.run>[2] = nothing,
): Promise<Relayed> {
  const [agent, agentSide] = await pair(teardown);
  const [server, serverSide] = await pair(teardown);
  return { agent, server, agentSide, serverSide, result: streamRelay.run(agentSide, serverSide, options) };
}

/** Whose server's bytes land in memory that is used again. */
async function landed(teardown: Teardown, options: Parameters<typeof streamRelay.run>[2]): Promise<Relayed> {
  const [agent, agentSide] = await pair(teardown);
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  teardown(() => listener.close());
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const landing = new Landing();
  const serverSide = connect({ port, host: '127.0.0.1', onread: landing.onread, allowHalfOpen: true });
  landing.belongTo(serverSide);
  teardown(() => serverSide.destroy());
  const [server] = (await once(listener, 'connection')) as [Socket];
  teardown(() => server.destroy());
  serverSide.pause();
  return { agent, server, agentSide, serverSide, result: streamRelay.run(agentSide, serverSide, options) };
}

t.test('bytes read before the relay go first, and all are counted', async (t) => {
  const heads = {
    agentHead: Buffer.from('a1'),
    serverHead: Buffer.from('s1'),
    agentFilter: null,
    serverFilter: null,
  };
  const { agent, server, result } = await relayed(t.teardown, heads);
  agent.end('a2');
  server.end('s2');
  t.equal((await readAll(agent)).toString(), 's1s2');
  t.equal((await readAll(server)).toString(), 'a1a2');
  t.same(await result, {
    bytesAgentToServer: 4,
    bytesServerToAgent: 4,
    end: 'ok',
    brokenBy: null,
    error: null,
  });
});

t.test('a large stream arrives whole and in order, both ways at once', async (t) => {
  const { agent, server, result } = await relayed(t.teardown);
  const data = Buffer.alloc(3_000_001, 'abcdefghijklmnopqrstuvwxyz0123456789-');
  agent.end(data);
  server.end(data);
  const [back, forth] = await Promise.all([readAll(agent), readAll(server)]);
  t.ok(back.equals(data));
  t.ok(forth.equals(data));
  t.match(await result, { bytesAgentToServer: data.length, bytesServerToAgent: data.length, end: 'ok' });
});

t.test('what a filter has to say to the other side is sent at once, and not after its end', async (t) => {
  const questions: Buffer[] = [];
  const serverFilter = {
    done: false,
    push: (chunk: Uint8Array) => {
      questions.push(Buffer.from('question'));
      return [chunk];
    },
    back: () => questions.splice(0),
  };
  const { agent, server, result } = await relayed(t.teardown, { ...nothing, serverFilter });
  server.write('answer');
  t.equal((await readBytes(agent, 6)).toString(), 'answer');
  t.equal((await readBytes(server, 8)).toString(), 'question');
  agent.end();
  t.equal((await readAll(server)).toString(), '');
  server.end('late');
  t.equal((await readAll(agent)).toString(), 'late');
  t.match(await result, { end: 'ok', bytesAgentToServer: 8 });
});

t.test('a filter rewrites what the server sends until it is done', async (t) => {
  let done = false;
  const serverFilter = {
    get done() {
      return done;
    },
    push: (chunk: Uint8Array) => {
      done = true;
      return [Buffer.from(Buffer.from(chunk).toString().toUpperCase())];
    },
  };
  const { agent, server } = await relayed(t.teardown, { ...nothing, serverFilter });
  server.write('first');
  t.equal((await readBytes(agent, 5)).toString(), 'FIRST');
  server.end('second');
  t.equal((await readAll(agent)).toString(), 'second');
});

/** Keeps what it gets until it is opened; gives the rest at the end. */
function sluiceGate() {
  const kept: Uint8Array[] = [];
  let open = false;
  let wake = (): void => undefined;
  const filter = {
    done: false,
    push: (chunk: Uint8Array) => {
      if (chunk.length > 0) kept.push(chunk);
      return open ? kept.splice(0) : [];
    },
    get full() {
      return kept.length > 0;
    },
    onReady: (call: () => void) => {
      wake = call;
    },
    end: () => [...kept.splice(0), Buffer.from('end')],
  };
  return {
    filter,
    kept,
    open: () => {
      open = true;
      wake();
    },
  };
}

t.test(
  'a filter that is full is not read for, gives what it has when it says so, and the other way goes on',
  async (t) => {
    const { filter, kept, open } = sluiceGate();
    const { agent, server, agentSide } = await relayed(t.teardown, { ...nothing, agentFilter: filter });
    agent.write('first');
    server.write('meanwhile');
    await readBytes(agent, 9);
    await until('what the filter keeps', () => kept.length === 1);
    t.ok(agentSide.isPaused());
    agent.write('second');
    open();
    t.equal((await readBytes(server, 11)).toString(), 'firstsecond');
    agent.end();
    t.equal((await readAll(server)).toString(), 'end');
  },
);

t.test('at the end of its source a filter gives what it has kept, before the end goes on', async (t) => {
  const { filter } = sluiceGate();
  const full = { ...filter, full: false };
  const { agent, server } = await relayed(t.teardown, { ...nothing, agentFilter: full });
  agent.end('kept');
  t.equal((await readAll(server)).toString(), 'keptend');
});

t.test('what is said to a filter of a flow that is over changes nothing', async (t) => {
  const { filter, kept, open } = sluiceGate();
  const { agent, result } = await relayed(t.teardown, { ...nothing, agentFilter: filter });
  agent.write('first');
  await until('what the filter keeps', () => kept.length === 1);
  agent.resetAndDestroy();
  t.match(await result, { end: 'agent_reset', bytesAgentToServer: 0 });
  open();
  t.equal(kept.length, 1);
});

t.test('what a filter makes reaches slow agents unchanged, with others beside them', async (t) => {
  const serverFilter = { done: false, push: (chunk: Uint8Array) => [chunk, together([chunk, chunk])] };
  const flows = await Promise.all(
    ['a', 'b', 'c'].map(async (letter) => {
      const flow = await landed(t.teardown, { ...nothing, serverFilter });
      return { ...flow, data: Buffer.alloc(400_000, letter) };
    }),
  );
  // Long beyond what a socket takes: what it does not take waits while others are written to.
  for (const { server, data } of flows) for (let n = 0; n < 20; n += 1) server.write(data);
  for (const { server } of flows) server.end();
  await until('agents that are slow', () => flows.every(({ agentSide }) => agentSide.writableLength > 0));
  const all = await Promise.all(flows.map(({ agent }) => readAll(agent)));
  for (const [n, { data }] of flows.entries()) {
    t.equal(all[n]?.length, 3 * 20 * data.length);
    t.ok(all[n]?.every((byte) => byte === data[0]));
  }
});

t.test('a filter that throws ends the flow before its bytes pass', async (t) => {
  const serverFilter = {
    done: false,
    push: () => {
      throw new Error('no');
    },
  };
  const { server, agentSide, result } = await relayed(t.teardown, { ...nothing, serverFilter });
  server.write('bad');
  t.match(await result, { end: 'protocol_error', brokenBy: 'server', bytesServerToAgent: 0 });
  t.equal(agentSide.destroyed, false, 'the agent can still be told');
});

t.test('a reset names its side and leaves the other socket to the caller', async (t) => {
  const one = await relayed(t.teardown);
  one.agent.resetAndDestroy();
  t.match(await one.result, { end: 'agent_reset', brokenBy: 'agent' });
  t.equal(one.serverSide.destroyed, false);
  const two = await relayed(t.teardown);
  two.server.resetAndDestroy();
  t.match(await two.result, { end: 'server_reset', brokenBy: 'server' });
  t.equal(two.agentSide.destroyed, false);
});

t.test('a socket that was lost before the relay began', async (t) => {
  const [, agentSide] = await pair(t.teardown);
  const [, serverSide] = await pair(t.teardown);
  agentSide.destroy();
  await endOf(agentSide);
  t.match(await streamRelay.run(agentSide, serverSide, nothing), { end: 'agent_reset', brokenBy: 'agent' });
});

t.test('each direction waits for its own reader', async (t) => {
  const { agent, server, agentSide } = await relayed(t.teardown);
  const big = Buffer.alloc(20_000_000, 1);
  server.write(big);
  agent.write('ping');
  t.equal((await readBytes(server, 4)).toString(), 'ping', 'while the agent reads nothing');
  t.ok(agentSide.writableLength < 1_000_000, `${agentSide.writableLength} bytes are held`);
  server.end();
  t.equal((await readAll(agent)).length, big.length);
});

t.test(
  'a side that reads nothing stops the other after so many pieces, however small they are',
  async (t) => {
    const { agent, server, agentSide, serverSide } = await relayed(t.teardown);
    await new Promise(setImmediate);
    const { buffer, callback } = landingOf(agentSide)?.onread ?? {};
    if (!(buffer instanceof Buffer)) throw new Error('what agents say has no place to land');
    const says = (text: string): void => void callback?.(buffer.write(text), buffer);
    // As much as the kernel takes.
    while (serverSide.writableLength === 0) says('x'.repeat(1_000));
    const held = serverSide.writableLength;
    let pieces = 0;
    while (!agentSide.isPaused() && pieces < 10_000) {
      says('x');
      pieces += 1;
    }
    t.ok(pieces > 100 && pieces < 2_000, `${pieces} pieces of one byte are held`);
    t.equal(serverSide.writableLength, held + pieces);
    server.resume();
    agent.end('the end');
    let last = '';
    server.on('data', (chunk: Buffer) => {
      last = `${last}${chunk.toString('latin1')}`.slice(-7);
    });
    await once(server, 'end');
    t.equal(last, 'the end', 'and goes on when all were taken');
  },
);

t.test('a small answer goes past the stream of the agent, and nothing passes what waits in it', async (t) => {
  const { agent, server, agentSide } = await relayed(t.teardown);
  server.write('answer');
  t.equal((await readBytes(agent, 6)).toString(), 'answer');
  t.equal(agentSide.bytesWritten, 0);
  const many = Buffer.alloc(20_000_000, 'abcdefghijklmnopqrstuvwxyz0123456789-');
  server.write(many);
  await until('what the kernel has no room for', () => agentSide.writableLength > 0);
  server.end('last');
  t.ok((await readAll(agent)).equals(Buffer.concat([many, Buffer.from('last')])));
});

t.test('what an agent said before the relay and still waits in its stream goes first', async (t) => {
  const [agent, agentSide] = await pair(t.teardown);
  const [server, serverSide] = await pair(t.teardown);
  agentSide.unshift(Buffer.from('first,'));
  const result = streamRelay.run(agentSide, serverSide, nothing);
  t.equal(landingOf(agentSide), null);
  agent.end('last');
  server.end();
  t.equal((await readAll(server)).toString(), 'first,last');
  agent.resume();
  t.match(await result, { end: 'ok', bytesAgentToServer: 10 });
});

t.test('an agent whose socket is gone gets nothing, and nobody else what was for it', async (t) => {
  const { agent, server, agentSide, serverSide } = await relayed(t.teardown);
  server.write('before');
  await readBytes(agent, 6);
  const fd = fdOf(agentSide);
  agentSide.destroy();
  await once(agentSide, 'close');
  const others: [Socket, Socket][] = [];
  while (others.length < 8) others.push(await pair(t.teardown));
  const heir = others.flat().find((socket) => fdOf(socket) === fd);
  t.ok(heir, 'its number is that of another socket now');
  const got: string[] = [];
  for (const socket of others.flat())
    socket.on('data', (chunk: Buffer) => got.push(chunk.toString())).resume();
  server.write('for nobody');
  await until('what the server said', () => serverSide.bytesRead >= 16);
  for (const [outer] of others) outer.write('own');
  await until('what the others say', () => got.join('').length >= 24);
  t.equal(got.join(''), 'own'.repeat(8));
});
