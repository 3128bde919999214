import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import t from 'tap';
import { Landing, landingOf } from '#src/proxy/landing.ts';
import { streamRelay } from '#src/proxy/relay.ts';
import { makeCertificates, SERVER_NAME } from '#test/support/certificates.ts';
import { ignore, readAll, tlsServer } from './harness.ts';
import { socketPair } from './socket-pair.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const NOTHING = { agentHead: null, serverHead: null, agentFilter: null, serverFilter: null };

async function landed(port: number, teardown: (end: () => unknown) => void): Promise<[TLSSocket, Landing]> {
  const landing = new Landing();
  const reading = { onread: landing.onread };
  const socket = tlsConnect({
    ...{ host: '127.0.0.1', port, servername: SERVER_NAME, ca: certificates.ca, allowHalfOpen: true },
    ...reading,
  });
  landing.belongTo(socket);
  socket.on('error', ignore);
  teardown(() => socket.destroy());
  await once(socket, 'secureConnect');
  return [socket, landing];
}

function serve(teardown: (end: () => unknown) => void, script: (socket: TLSSocket) => void): Promise<number> {
  return tlsServer(teardown, certificates.valid, script);
}

t.test('what a server says before there is a taker comes first, and nothing comes by `data`', async (t) => {
  const port = await serve(t.teardown, (socket) => {
    socket.write('first,');
    socket.once('data', () => socket.end('last'));
  });
  const [socket, landing] = await landed(port, t.teardown);
  t.equal(landingOf(socket), landing);
  socket.on('data', () => t.fail('the bytes were given out twice'));
  await sleep(20);
  let got = '';
  landing.deliverTo((bytes) => {
    got += bytes.toString();
  });
  socket.resume();
  socket.write('go');
  await once(socket, 'end');
  t.equal(got, 'first,last');
});

t.test('what came early is kept although the next record lands in the same place', async (t) => {
  const landing = new Landing();
  const { buffer, callback } = landing.onread;
  for (const text of ['first,', 'second']) {
    if (!(buffer instanceof Buffer)) throw new Error('one buffer for all');
    callback(buffer.write(text), buffer);
  }
  let got = '';
  landing.deliverTo((bytes) => {
    got += bytes.toString();
  });
  t.equal(got, 'first,second');
});

t.test('a server that says much before there is a taker is not read on', async (t) => {
  const port = await serve(t.teardown, (socket) => void socket.write(Buffer.alloc(5_000_000, 7)));
  const [socket, landing] = await landed(port, t.teardown);
  await sleep(100);
  t.ok(socket.bytesRead < 1_000_000, `${socket.bytesRead} bytes were read`);
  let bytes = 0;
  landing.deliverTo((part) => {
    bytes += part.length;
  });
  socket.resume();
  while (bytes < 5_000_000) await sleep(5);
  t.equal(bytes, 5_000_000, 'and none of them is lost');
});

t.test('after its flow has ended nothing is taken', async (t) => {
  const port = await serve(t.teardown, (socket) => socket.once('data', () => socket.end('late')));
  const [socket, landing] = await landed(port, t.teardown);
  landing.deliverTo(() => t.fail('the flow is over'));
  landing.close();
  socket.write('go');
  await once(socket.resume(), 'end');
});

/** Reads as slowly as it is told, and hashes. */
async function read(agent: Socket, pauseMs: number): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of agent) {
    hash.update(chunk as Buffer);
    if (pauseMs > 0) await sleep(pauseMs);
  }
  return hash.digest('hex');
}

t.test('flows at once, fast and slow readers, records of every size: each gets its own bytes', async (t) => {
  const sizes = [16_384, 1, 16_384, 16_384, 5_000, 16_383, 16_384, 200_000, 3, 70_000];
  const sources = new Map<string, Buffer[]>();
  const port = await serve(t.teardown, (socket) =>
    socket.once('data', async (name: Buffer) => {
      for (const part of sources.get(name.toString()) ?? []) {
        if (!socket.write(part)) await once(socket, 'drain');
      }
      socket.end();
    }),
  );
  const flows = Array.from({ length: 6 }, async (_, n) => {
    const parts = Array.from({ length: 60 }, (_, at) =>
      randomBytes(sizes[(at * (n + 1)) % sizes.length] ?? 1),
    );
    sources.set(`flow ${n}`, parts);
    const [agent, agentSide] = await socketPair(t.teardown);
    const [server] = await landed(port, t.teardown);
    server.pause();
    const result = streamRelay.run(agentSide, server, NOTHING);
    agent.end(`flow ${n}`);
    const whole = Buffer.concat(parts);
    t.equal(await read(agent, n % 2), createHash('sha256').update(whole).digest('hex'), `flow ${n}`);
    t.match(await result, { end: 'ok', bytesServerToAgent: whole.length });
  });
  await Promise.all(flows);
});

t.test('an agent that reads nothing holds its server back', async (t) => {
  const port = await serve(t.teardown, (socket) => {
    socket.on('data', ignore);
    socket.end(Buffer.alloc(30_000_000, 'sluice'));
  });
  const [agent, agentSide] = await socketPair(t.teardown);
  const [server] = await landed(port, t.teardown);
  server.pause();
  void streamRelay.run(agentSide, server, NOTHING);
  await sleep(300);
  t.ok(agentSide.writableLength < 1_000_000, `${agentSide.writableLength} bytes are held`);
  agent.end();
  t.equal((await readAll(agent)).length, 30_000_000);
});

t.test('full records right before the end come before it', async (t) => {
  const whole = Buffer.alloc(3 * 16_384, 'sluice');
  const port = await serve(t.teardown, (socket) => socket.on('data', ignore).end(whole));
  const [agent, agentSide] = await socketPair(t.teardown);
  const [server] = await landed(port, t.teardown);
  server.pause();
  const result = streamRelay.run(agentSide, server, NOTHING);
  agent.end();
  t.ok((await readAll(agent)).equals(whole));
  t.match(await result, { end: 'ok', bytesServerToAgent: whole.length });
});

t.test('what was taken is written when the flow is reported, however it ended', async (t) => {
  const port = await serve(t.teardown, (socket) => {
    socket.write(Buffer.alloc(16_384), () => socket.destroy());
  });
  const [agent, agentSide] = await socketPair(t.teardown);
  const [server] = await landed(port, t.teardown);
  server.pause();
  const landing = landingOf(server);
  const take = landing?.deliverTo.bind(landing);
  // The record and what breaks the flow, in one turn.
  if (landing !== null)
    landing.deliverTo = (taker) =>
      take?.((bytes) => {
        taker(bytes);
        server.destroy(new Error('broken'));
      });
  const { bytesServerToAgent } = await streamRelay.run(agentSide, server, NOTHING);
  t.equal(bytesServerToAgent, 16_384);
  agentSide.end();
  t.equal((await readAll(agent)).length, 16_384);
});

t.test('filters are given all of it, to be done with when they return', async (t) => {
  const port = await serve(t.teardown, (socket) => {
    socket.write('one ');
    socket.once('data', () => socket.end('two '));
  });
  const [agent, agentSide] = await socketPair(t.teardown);
  const [server] = await landed(port, t.teardown);
  server.pause();
  const kept: Uint8Array[] = [];
  const push = (chunk: Uint8Array): Uint8Array[] => {
    kept.push(Buffer.from(chunk));
    return [chunk];
  };
  const serverFilter = { done: false, push };
  const result = streamRelay.run(agentSide, server, { ...NOTHING, serverFilter });
  await once(agent, 'readable');
  agent.end('go');
  t.equal((await readAll(agent)).toString(), 'one two ');
  t.equal(Buffer.concat(kept).toString(), 'one two ');
  await result;
});

t.test('a plain socket has none', async (t) => {
  const port = await serve(t.teardown, ignore);
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  t.equal(landingOf(socket), null);
});

t.test('an agent is read into one place, and no further while nobody wants to', async (t) => {
  const [agent, agentSide] = await socketPair(t.teardown);
  // Node reads on for as long as nothing waits in a stream, paused or not.
  agentSide.resume();
  await new Promise(setImmediate);
  agentSide.pause();
  const landing = Landing.ofAgent(agentSide);
  t.equal(landingOf(agentSide), landing);
  agent.end(Buffer.alloc(5_000_000, 'sluice'));
  await sleep(100);
  t.equal(agentSide.bytesRead, 0);
  let got = 0;
  landing?.deliverTo((bytes) => {
    got += bytes.length;
  });
  agentSide.on('data', () => t.fail('the bytes were given out twice'));
  agentSide.resume();
  await once(agentSide, 'end');
  t.equal(got, 5_000_000);
});

t.test('agents at once, records of every size: each server gets what its own agent said', async (t) => {
  const flows = Array.from({ length: 6 }, async (_, n) => {
    const [agent, agentSide] = await socketPair(t.teardown);
    const [server, serverSide] = await socketPair(t.teardown);
    const result = streamRelay.run(agentSide, serverSide, NOTHING);
    const parts = Array.from({ length: 60 }, (_, at) => randomBytes(((at * (n + 3)) % 13) * 9_000 + 1));
    const heard = read(server, n % 2);
    for (const part of parts) if (!agent.write(part)) await once(agent, 'drain');
    agent.end();
    server.end();
    agent.resume();
    const whole = Buffer.concat(parts);
    t.equal(await heard, createHash('sha256').update(whole).digest('hex'), `flow ${n}`);
    t.match(await result, { end: 'ok', bytesAgentToServer: whole.length });
  });
  await Promise.all(flows);
});
