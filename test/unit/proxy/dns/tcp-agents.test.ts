import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { duplicateFd } from '#src/kernel/descriptors.ts';
import type { KernelFlow } from '#src/kernel/facts.ts';
import { encodeFrame } from '#src/protocols/dns/frames.ts';
import type { Outcome } from '#src/proxy/dns/dns-report.ts';
import { TcpAgents } from '#src/proxy/dns/tcp-agents.ts';
import { fdOf } from '#src/proxy/socket-fd.ts';

/** Only handed on. */
const FLOW = {} as KernelFlow;
const OUTCOME: Outcome = {
  name: 'a.test',
  verdict: 'allow',
  reason: 'ok',
  detail: '',
  bytesIn: 8,
  bytesOut: 8,
};
const QUESTION = Buffer.from('as long as a header is');

/** One listening socket lent to agents who are answered what they asked. */
async function setUp(t: Test) {
  const lender = createServer().listen(0, '127.0.0.1');
  await once(lender, 'listening');
  const { port } = lender.address() as AddressInfo;
  const fd = duplicateFd(fdOf(lender as unknown as Socket) ?? -1);
  lender.close();
  const state = { spare: true, asked: 0 };
  const agents = new TcpAgents({
    readFlow: () => FLOW,
    handle: async (bytes) => {
      state.asked += 1;
      return { reply: bytes, outcome: OUTCOME };
    },
    onEnd: () => undefined,
    hasSpare: () => state.spare,
  });
  const stop = agents.serve(fd);
  t.teardown(() => agents.close());
  const ask = async (): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    socket.write(encodeFrame(QUESTION));
    return socket;
  };
  return { agents, state, fd, stop, ask };
}

const answered = async (socket: Socket): Promise<Buffer> => (await once(socket, 'data'))[0] as Buffer;

t.test('each question is answered, one after the other', async (t) => {
  const { ask } = await setUp(t);
  const socket = await ask();
  t.same(await answered(socket), encodeFrame(QUESTION));
  socket.write(encodeFrame(QUESTION));
  t.same(await answered(socket), encodeFrame(QUESTION));
});

t.test('without descriptors to spare questions wait, and open connections go on', async (t) => {
  const { agents, state, ask } = await setUp(t);
  const open = await ask();
  await answered(open);
  state.spare = false;
  agents.look();
  const waiting = [await ask(), await ask()];
  // As long as it takes the open one to be answered three times, which passes the event loop as often.
  for (let n = 0; n < 3; n += 1) {
    open.write(encodeFrame(QUESTION));
    await answered(open);
  }
  t.equal(state.asked, 4, 'those that wait have not been let in');
  t.ok(agents.shut);
  t.notOk(
    waiting.some((socket) => socket.closed),
    'nor turned away',
  );
  state.spare = true;
  agents.look();
  for (const socket of waiting) t.same(await answered(socket), encodeFrame(QUESTION));
});

t.test('what closes a listener closes what was lent, and leaves connections be', async (t) => {
  const { stop, fd, ask } = await setUp(t);
  const open = await ask();
  await answered(open);
  stop();
  t.throws(() => fstatSync(fd), { code: 'EBADF' });
  open.write(encodeFrame(QUESTION));
  t.same(await answered(open), encodeFrame(QUESTION));
});
