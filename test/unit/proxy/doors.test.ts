import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { closeFd, duplicateFd } from '#src/kernel/descriptors.ts';
import { canOpen, Doors } from '#src/proxy/doors.ts';
import { fdOf } from '#src/proxy/socket-fd.ts';
import { must } from '#test/support/command.ts';

/** As an errno arrives. */
const shortage = (code: string): Error => Object.assign(new Error(code), { code });

/** Doors with one door: a listening socket that is lent to them, and what those who came in were told. */
async function setUp(t: Test) {
  const lender = createServer().listen(0, '127.0.0.1');
  await once(lender, 'listening');
  const { port } = lender.address() as AddressInfo;
  const fd = duplicateFd(fdOf(lender as unknown as Socket) ?? -1);
  lender.close();
  const state = { spare: true, failing: null as string | null };
  let entered = 0;
  const doors = new Doors({
    listen: (server, lent) => server.listen({ fd: lent }),
    duplicate: (lent) => {
      if (state.failing !== null) throw shortage(state.failing);
      return duplicateFd(lent);
    },
    closeFd,
    hasSpare: () => state.spare,
  });
  const makeServer = (): Server =>
    createServer((socket) => {
      entered += 1;
      socket.end('in');
    });
  const remove = doors.add(fd, makeServer);
  t.teardown(remove);
  const knock = async (): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  };
  return { doors, state, fd, remove, knock, entered: () => entered };
}

const isLetIn = async (socket: Socket): Promise<void> => void (await once(socket, 'data'));

t.test('open: who comes is let in', async (t) => {
  const { doors, knock } = await setUp(t);
  await isLetIn(await knock());
  doors.look();
  t.notOk(doors.shut);
  await isLetIn(await knock());
});

t.test('without descriptors to spare who comes waits, and is let in when there are some again', async (t) => {
  const { doors, state, knock, entered } = await setUp(t);
  state.spare = false;
  doors.look();
  t.ok(doors.shut);
  const waiting = [await knock(), await knock()];
  doors.look();
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(entered(), 0, 'nobody was let in');
  t.notOk(
    waiting.some((socket) => socket.closed),
    'nor turned away',
  );
  state.spare = true;
  doors.look();
  t.notOk(doors.shut);
  await Promise.all(waiting.map(isLetIn));
  t.equal(entered(), 2);
});

t.test('a door that cannot be opened after all is tried again; what else goes wrong is told', async (t) => {
  const { doors, state, knock } = await setUp(t);
  for (const code of ['EMFILE', 'ENFILE']) {
    state.spare = false;
    doors.look();
    state.spare = true;
    state.failing = code;
    doors.look();
    t.ok(doors.shut, code);
    const waiting = await knock();
    state.failing = null;
    doors.look();
    await isLetIn(waiting);
  }
  state.spare = false;
  doors.look();
  state.spare = true;
  state.failing = 'EBADF';
  t.throws(() => doors.look(), { code: 'EBADF' });
});

t.test('a door that is taken away closes what it was lent', async (t) => {
  const { fd, remove } = await setUp(t);
  fstatSync(fd);
  remove();
  t.throws(() => fstatSync(fd), { code: 'EBADF' });
  remove();
  t.pass('once');
});

t.test('whether descriptors can be opened is asked of the kernel', async (t) => {
  t.ok(canOpen(4));
  const doors = new URL('../../../src/proxy/doors.ts', import.meta.url).href;
  const script = `import { canOpen } from '${doors}'; process.stdout.write(String([canOpen(1), canOpen(64), canOpen(1)]))`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  t.equal(await must(['prlimit', '--nofile=64', '--', ...node]), 'true,false,true', 'and nothing stays open');
});
